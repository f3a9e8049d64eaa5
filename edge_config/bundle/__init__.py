"""The bundle format: files, manifest, signature, and packing into one file."""
