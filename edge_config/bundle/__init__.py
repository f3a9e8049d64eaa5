"""The bundle: its files, its manifest, its signature, and how it travels."""
