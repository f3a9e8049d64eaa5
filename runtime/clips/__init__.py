"""Clips: video of the seconds around an alert."""
