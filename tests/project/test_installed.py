"""Versions of packages, as bundles and benches note them."""

from __future__ import annotations

import importlib.metadata

import pytest

from edge_config.installed import version


@pytest.mark.parametrize(
    ("there", "noted"),
    [
        ({"onnxruntime": "1.32.0"}, "1.32.0"),
        ({"onnxruntime-gpu": "1.31.1"}, "1.31.1 (onnxruntime-gpu)"),
        ({"onnxruntime": "1.32.0", "onnxruntime-openvino": "1.24.1"}, "1.24.1 (onnxruntime-openvino)"),
        ({}, None),
    ],
)
def test_onnxruntime_is_noted_whatever_its_package(
    monkeypatch: pytest.MonkeyPatch, there: dict[str, str], noted: str | None
) -> None:
    """Three packages have the same module: its version is noted, and the package where it is not the usual one."""

    def found(name: str) -> str:
        if name not in there:
            raise importlib.metadata.PackageNotFoundError(name)
        return there[name]

    monkeypatch.setattr(importlib.metadata, "version", found)
    assert version("onnxruntime") == noted
