"""The journal: published alerts and states, stored so that they can be replayed.

`recorder` is its thread; `store` is the file, and the memory that stands in for it.
"""
