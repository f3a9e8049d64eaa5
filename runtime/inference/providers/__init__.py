"""Execution providers of ONNX Runtime: their options, and which of the wanted ones exist and start."""
