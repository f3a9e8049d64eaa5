"""Forwards what devices say to MQTT and NATS."""
