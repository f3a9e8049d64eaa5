"""Pictures and their features in parts, which may lie in other processes."""
