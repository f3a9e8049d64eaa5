"""How a running device fares: its log, its metrics, and doctor beside it."""
