"""The journal: what was published can be had again.

`recorder` is its thread; `store` is the file, and the memory that stands in for it.
"""
