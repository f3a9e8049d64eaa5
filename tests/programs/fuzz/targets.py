"""All readers, by name."""

from __future__ import annotations

import importlib

TARGETS = ("manifest", "directory", "packed", "settings_file", "wire", "requests", "index_file", "arrays_file")


def target(name: str):
    """Return the module of a reader."""
    return importlib.import_module(f"tests.programs.fuzz.{name}")
