"""A GPU for `fit --device cuda`: ONNX Runtime embeds the pictures there, and torch multiplies for the selection."""
