"""Change the settings of a running device."""
