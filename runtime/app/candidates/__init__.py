"""Candidates of the cameras: staged, watched in their shadow, activated and taken back, on request."""
