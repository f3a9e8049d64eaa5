"""Metrics, health, systemd, temperature, degradation."""
