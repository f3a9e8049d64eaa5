"""Keys, access, and trust in bundles."""
