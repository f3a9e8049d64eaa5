"""The network and the aggregation, as an ONNX graph."""
