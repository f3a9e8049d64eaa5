"""The index of a bundle, as far as it is checked before hnswlib opens it."""
