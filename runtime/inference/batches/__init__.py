"""Frames of several cameras that one run of the graph takes together."""
