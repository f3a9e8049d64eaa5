"""Processes, memory, signals, threads and logs: nothing here knows of cameras."""
