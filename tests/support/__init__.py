"""Helpers of the tests: fakes, makers of pictures and bundles, references."""
