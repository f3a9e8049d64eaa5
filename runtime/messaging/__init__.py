"""ZeroMQ on the device: published messages, requests and replies."""
