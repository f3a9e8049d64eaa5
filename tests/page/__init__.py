"""`patchedge page`: its parts, and the whole in a browser."""
