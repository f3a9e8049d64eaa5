"""The settings of a device that a bench starts: all of it in one folder, nothing that this machine is short of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_settings(
    folder: Path, bundle: Path, cameras: dict[str, dict[str, Any]], **more: Any
) -> tuple[Path, str, str]:
    """Write the settings of a device into a folder; return their file, and the addresses of its events and control."""
    events, control = f"ipc://{folder}/events", f"ipc://{folder}/control"
    settings = {
        "bundle": str(bundle.absolute()),
        "cameras": cameras,
        "events": {"bind": events},
        "control": {"bind": control},
        "metrics": {"enabled": False},
        "journal": {"path": str(folder / "journal.sqlite")},
        "learning": {"folder": str(folder / "learning"), "keep_peaks": False},
        "degrade": {"thermal_root": str(folder / "none"), "least_memory_mb": 0},
        **more,
    }
    config = folder / "device.yaml"
    config.write_text(json.dumps(settings))  # JSON is YAML
    return config, events, control
