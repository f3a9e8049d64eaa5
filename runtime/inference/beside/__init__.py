"""Candidates in the inference worker: bundles beside those in service."""
