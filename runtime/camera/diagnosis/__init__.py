"""Diagnose why a source does not open: OpenCV gives no reason, so the cause is looked for after the failure."""
