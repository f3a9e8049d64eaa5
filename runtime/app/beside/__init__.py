"""Processes beside the device that are started with it, started again when they die, and never waited for."""
