"""Evaluate a bundle on labelled pictures."""
