"""Access control of the page: the gate before the app, log-in, and where the page may be bound."""
