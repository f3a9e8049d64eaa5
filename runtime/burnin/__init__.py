"""Burn-in: watch a camera for a day, and set the threshold for a wanted number of false alerts a day."""
