"""The soak: the real runtime, several cameras, and everything that goes wrong with them."""
