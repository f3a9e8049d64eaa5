"""Settings of device and bridge: strict files, their sections, and device profiles."""
