"""From scores to labels, alerts and camera states."""
