"""Benches: figures on real pictures, and speed as a ratio within one run."""
