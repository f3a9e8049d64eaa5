"""Clips: films of the seconds around an alert."""
