"""Bundles and settings for many devices, over NATS JetStream."""
