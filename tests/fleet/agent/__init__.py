"""Tests of the agent of a device."""
