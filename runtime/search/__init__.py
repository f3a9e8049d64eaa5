"""Exact nearest-neighbour search, and its kernels in C."""
