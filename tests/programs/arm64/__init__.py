"""Builds the image for ARM on an x86 machine, runs it under emulation, and compares its scores; see run.py."""
