"""On what the figures were measured."""

from __future__ import annotations

import importlib.metadata
import os
import platform

import onnxruntime


def machine() -> str:
    """Name machine and versions on one line."""
    tools = ("numpy", "opencv-python-headless", "hnswlib", "torch")
    found = {"onnxruntime": onnxruntime.__version__} | {tool: importlib.metadata.version(tool) for tool in tools}
    versions = ", ".join(f"{tool} {version}" for tool, version in found.items())
    return f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}"
