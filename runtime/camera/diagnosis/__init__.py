"""Diagnose why a source does not open."""
