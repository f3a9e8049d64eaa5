"""Connections to brokers, for the bridge and for the fleet."""
