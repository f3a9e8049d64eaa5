"""Tell how a running device is: its log, its metrics, and doctor beside it."""
