"""All checks, in the order of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from edge_config.settings.device import Settings
from runtime.doctor import (
    cameras,
    clock,
    fleet,
    heat,
    inference,
    ports_and_folders,
    processor,
    search_speed,
    software,
    vision,
)
from runtime.doctor.finding import Check, Finding, look
from runtime.process.child import CheckResult, ask

_PROVIDERS = (
    "import onnxruntime as o, json; "
    "print(json.dumps({'version': o.__version__, 'present': o.get_available_providers()}))"
)

_IN_USE = {"camera", "ports", "journal", "bundle", "hnswlib"}
"""Checks that a running device is in the way of, or that would be in its way."""


def examine(
    settings: Settings,
    bundles: list[str],
    *,
    configured: bool,
    running: bool = False,
    root: Path = Path("/"),
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[tuple[str, list[Finding]]]:
    """Run all checks.

    Args:
        settings: settings to check for.
        bundles: paths of bundles to load.
        configured: the settings are from a file, so its cameras are checked, too.
        running: a device runs with these settings: what it uses is left alone, and what takes the processor.
        root: folder of /proc, /sys, /dev and /run.
        tell: receives the name of the next check.

    Yields:
        The name of a section, and its findings.
    """
    asked = ask("-c", _PROVIDERS)
    there = [] if asked.problem else asked.value["present"]
    sources = [camera.source for camera in settings.cameras.values()] if configured else []
    sections: dict[str, list[tuple[str, Check]]] = {
        "device": [
            ("processor", partial(processor.processor, root)),
            ("cores", partial(processor.cores, root)),
            ("memory", partial(processor.memory, root)),
            ("temperature", partial(heat.temperature, root, settings.degrade)),
            ("throttling", partial(heat.throttling, root)),
            ("frequency", partial(heat.frequency, root)),
            ("clock", partial(clock.clock, root)),
            ("profile", partial(processor.profile, root)),
        ],
        "software": [
            ("python", software.python),
            ("packages", software.packages),
            ("hnswlib", search_speed.speed),
            ("opencv", partial(vision.backends, sources)),
            ("providers", partial(_providers, asked, settings)),
        ],
        "bundles": [("bundle", partial(inference.with_bundle, path, settings, there)) for path in bundles],
        "cameras": [
            ("cameras", partial(cameras.cameras, root)),
            ("group", cameras.group),
            *([("camera", partial(cameras.wanted, settings.cameras))] if configured else []),
        ],
        "places": [
            ("ports", partial(ports_and_folders.ports, settings)),
            ("journal", partial(ports_and_folders.journal, settings)),
            ("clips", partial(ports_and_folders.clips, settings)),
            ("learning", partial(ports_and_folders.learning, settings)),
            ("encryption", partial(ports_and_folders.keys, settings)),
            ("fleet", partial(fleet.fleet, settings)),
        ],
    }
    if running:
        sections = {name: [one for one in checks if one[0] not in _IN_USE] for name, checks in sections.items()}
    for section, checks in sections.items():
        found = []
        for about, check in checks:
            tell(about)
            found += look(about, check)
        yield section, found


def _providers(asked: CheckResult, settings: Settings) -> Finding:
    if asked.problem:
        return Finding("providers", "fail", f"no ONNX Runtime ({asked.problem})", "pip install 'patchedge[cpu]'")
    return inference.present(settings.providers, asked.value["present"], asked.value["version"])
