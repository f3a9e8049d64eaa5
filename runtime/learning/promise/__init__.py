"""How many false alerts a day: counted in normal video by the alert logic of the runtime, or extrapolated from it."""
