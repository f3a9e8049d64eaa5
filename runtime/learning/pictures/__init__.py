"""The normal pictures: reading them, and checking them before the work begins."""
