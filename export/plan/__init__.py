"""Many bundles from one plan."""
