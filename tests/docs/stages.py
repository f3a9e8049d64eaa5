"""What a reader has when a page begins, and how many blocks of a page do not run: a line for each page.

`tests/docs/test_pages.py` says how a page is written; a page's author changes its line here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

REASONS = {"docker", "systemd", "hardware", "internet", "root", "another machine", "time", "GPU"}
"""Why a block may not run."""


@dataclass(frozen=True)
class Stage:
    """What there is at the beginning of a page.

    Attributes:
        bundle: what `line.bundle` is: "tiny" (grey pictures are normal, colour is not; what `device`, `press_3` and
            `pictures` want), "small" (of a small network, learnt from pictures like those of `normal` and of the
            camera), or "" for none.
        normal: number of pictures in `normal/`, 360 x 240, of a fixed camera.
        newer: number of further pictures of that camera in `newer/`.
        pictures: whether there is `pictures/`, for the tiny bundle: 240, of which 21 to 60 are strange.
        labelled: whether there are, for the tiny bundle, pictures whose truth is known: `parts/` with masks, `clip.mp4`
            with the list `truth.csv`; and normal ones that it has not seen, `newer/`.
        networks: whether there are ONNX files to learn with: `net.onnx`, `vit.onnx`.
        camera: whether a camera serves rtsp://user:pw@10.0.0.4/stream; an object appears in its view, again and again,
            from the moment when `patchedge run` is up.
        device: whether a device runs (`edge`, its ports the default ones) with `line.bundle` and the cameras `cam1` and
            `top`, each with an alert every 3 s. It ends where the page has a `patchedge run` of its own.
        press_3: whether a device runs at `press-3`, with keys; `hall.key_secret`, `hall.key`, `press-3.key` are here.
        mosquitto, nats: whether a broker runs at `broker`.
        files: further files: name -> text.
        not_run: reason -> number of blocks of the page that do not run.
    """

    bundle: str = ""
    normal: int = 0
    newer: int = 0
    pictures: bool = False
    labelled: bool = False
    networks: bool = False
    camera: bool = False
    device: bool = False
    press_3: bool = False
    mosquitto: bool = False
    nats: bool = False
    files: Mapping[str, str] = field(default_factory=dict)
    not_run: Mapping[str, int] = field(default_factory=dict)


SETTINGS = """\
bundle: line.bundle
cameras:
  top: {source: "rtsp://user:pw@10.0.0.4/stream"}
"""
"""What a reader has written already, where a page is about a device that runs."""

AUTO = """\
bundle: line.bundle
cameras:
  top: {source: pictures/}
threads: 1
providers: auto
"""

STAGES = {
    "README.md": Stage(camera=True, not_run={"internet": 1, "time": 1}),
    "docs/tutorial.md": Stage(camera=True, not_run={"internet": 1, "time": 1}),
    "docs/guide/alerts.md": Stage(bundle="small", camera=True),
    "docs/guide/bridge.md": Stage(
        bundle="tiny",
        press_3=True,
        mosquitto=True,
        nats=True,
        not_run={"internet": 1, "another machine": 1, "systemd": 1},
    ),
    "docs/guide/burn-in.md": Stage(bundle="tiny", device=True, not_run={"time": 1}),
    "docs/guide/cameras.md": Stage(bundle="small", pictures=True, camera=True),
    "docs/guide/container.md": Stage(not_run={"docker": 5}),
    "docs/guide/cluster.md": Stage(not_run={"internet": 1, "time": 1, "another machine": 3}),
    "docs/guide/evaluate.md": Stage(bundle="tiny", labelled=True),
    "docs/guide/fleet.md": Stage(bundle="tiny", pictures=True, labelled=True, nats=True, not_run={"time": 1}),
    "docs/guide/fleet-server.md": Stage(bundle="tiny", not_run={"root": 1, "another machine": 2}),
    "docs/guide/fleet-tutorial.md": Stage(bundle="tiny", pictures=True, labelled=True, not_run={"root": 1}),
    "docs/guide/install.md": Stage(bundle="tiny", not_run={"another machine": 2, "root": 1, "internet": 2, "time": 1}),
    "docs/guide/jetson.md": Stage(not_run={"docker": 3}),
    "docs/guide/may-vary.md": Stage(normal=12, not_run={"time": 1}),
    "docs/guide/monitoring.md": Stage(bundle="tiny", camera=True, device=True, files={"settings.yaml": SETTINGS}),
    "docs/guide/options.md": Stage(normal=8, networks=True, not_run={"time": 3, "internet": 2, "hardware": 1}),
    "docs/guide/page.md": Stage(bundle="tiny", device=True, press_3=True, not_run={"internet": 1}),
    "docs/guide/page-access.md": Stage(bundle="tiny", device=True, not_run={"systemd": 1}),
    "docs/guide/page-files.md": Stage(),
    "docs/guide/pictures-of-people.md": Stage(bundle="tiny", device=True),
    "docs/guide/plan.md": Stage(normal=8, networks=True, not_run={"systemd": 1}),
    "docs/guide/providers.md": Stage(bundle="tiny", pictures=True, files={"settings.yaml": AUTO}, not_run={"GPU": 2}),
    "docs/guide/raspberry-pi.md": Stage(not_run={"another machine": 2, "root": 1, "hardware": 1, "internet": 1}),
    "docs/guide/report.md": Stage(normal=12, not_run={"time": 1}),
    "docs/guide/security.md": Stage(bundle="small", camera=True),
    "docs/guide/service.md": Stage(not_run={"systemd": 4}),
    "docs/guide/small-faults.md": Stage(not_run={"time": 1}),
    "docs/guide/subscribe.md": Stage(bundle="tiny", device=True),
    "docs/guide/teach.md": Stage(bundle="tiny", device=True),
    "docs/guide/troubleshooting.md": Stage(
        bundle="tiny", normal=12, camera=True, device=True, files={"settings.yaml": SETTINGS}, not_run={"time": 2}
    ),
    "docs/guide/versions.md": Stage(bundle="tiny", device=True, not_run={"time": 2, "another machine": 1}),
    "docs/guide/update.md": Stage(bundle="small", newer=40, camera=True, not_run={"root": 2, "docker": 1}),
}
