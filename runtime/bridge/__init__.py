"""Forward the messages of devices to MQTT and NATS."""
