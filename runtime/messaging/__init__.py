"""ZeroMQ on the device: what is published, what is asked and answered."""
