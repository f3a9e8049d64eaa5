"""Users and tokens of the page, their passwords and sessions, and the limits of log-in."""
