"""Programs: benches, the soak, fuzzing, ARM under emulation, other Pythons."""
