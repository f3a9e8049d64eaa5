"""On what the figures were measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform


def machine() -> str:
    """Name machine and versions on one line."""
    tools = ("numpy", "onnxruntime", "opencv-python-headless", "hnswlib", "torch")
    versions = ", ".join(f"{tool} {importlib.metadata.version(tool)}" for tool in tools)
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"
