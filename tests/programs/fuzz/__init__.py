"""What comes from outside, as random bytes: one file for each reader.

Each has `seeds()`, which bytes to begin with, `FOUND`, bytes that once broke it, and `check(data)`, which raises for
anything but an error of the tree. `make fuzz` runs them all under atheris; their seeds are tests like any other.
"""
