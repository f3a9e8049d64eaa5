"""From a picture to its score (PatchCore); the same on the device and at export."""
