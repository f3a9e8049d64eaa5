"""Programs that stand in for parts of the runtime that misbehave."""
