"""The normal pictures: reading them, and a look at them before the work begins."""
