"""Which versions of packages are installed."""

from __future__ import annotations

ONNXRUNTIME = ("onnxruntime-openvino", "onnxruntime-gpu", "onnxruntime")
"""Packages that have the module `onnxruntime`; where two are installed, pip put one of the first over the last."""


def version(package: str = "patchedge") -> str | None:
    """Return the version of an installed package; None if it is not installed, as in a folder of sources.

    That of `onnxruntime` may be of another package with the same module, which follows: `1.24.1 (onnxruntime-gpu)`.
    """
    import importlib.metadata  # a fifth of the time of --help

    for name in ONNXRUNTIME if package == ONNXRUNTIME[-1] else (package,):
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        return found if name == package else f"{found} ({name})"
    return None
