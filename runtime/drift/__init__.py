"""Drift: normal frames that slowly look or score otherwise than what was learnt. Never about a single frame."""
