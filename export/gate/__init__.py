"""Checks that a bundle must pass before it is written."""
