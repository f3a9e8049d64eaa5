"""The page: what the cameras of some devices see, in a browser; a process of its own, and a client like any other."""
