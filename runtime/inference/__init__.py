"""The inference worker: bundles loaded and checked, frames scored."""
