"""Check cameras: which exist, and whether this user may open them."""

from __future__ import annotations

import grp
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edge_config.errors import SourceUnavailable
from edge_config.settings.sections import Camera
from runtime.camera import address
from runtime.camera.diagnosis.device import join_group, user_name
from runtime.camera.preview import Preview
from runtime.camera.supervisor import CAPTURE_PROCESS
from runtime.doctor.finding import Finding
from runtime.process.control_groups import lines, number

_MAX_AT_ONCE = 8  # cameras that are opened, each in a process of its own
_FIRST_S = 10.0  # time-out for the first picture

_NODE = re.compile(r"video[0-9]+")

MayOpen = Callable[[Path], bool]


def cameras(root: Path, may_open: MayOpen | None = None) -> Iterator[Finding]:
    """Report the cameras of this machine."""
    may_open = may_open or (lambda node: os.access(node, os.R_OK | os.W_OK))
    names = _stable_names(root)
    found = [node for node in _nodes(root / "dev") if _gives_pictures(root, node)]
    if not found:
        yield Finding("cameras", "ok", "none on this machine (/dev/video*); streams and files can be watched")
    for node in found:
        model = "".join(lines(root / f"sys/class/video4linux/{node.name}/name")) or "unnamed"
        stable = names.get(node.name, "")
        says = f"/dev/{node.name}: {model}" + (f", {stable}" if stable else "")
        data = {"node": f"/dev/{node.name}", "model": model, "stable": stable}
        if may_open(node):
            yield Finding("camera", "ok", says, data=data)
        else:
            yield Finding("camera", "fail", f"{says}: {user_name()} may not open it", _join(node), data=data)


def group() -> Finding:
    """Report whether this user is in the group that cameras belong to."""
    try:
        wanted = grp.getgrnam("video")
    except KeyError:
        return Finding("group", "ok", "this system has no group `video`")
    user = user_name()
    if os.geteuid() == 0 or wanted.gr_gid in (*os.getgroups(), os.getegid()):
        return Finding("group", "ok", f"{user} may open devices of the group `video`")
    remedy = f"sudo usermod -aG video {user}, and log in again; the systemd unit has it; in a container: --group-add"
    return Finding("group", "warn", f"{user} is not in the group `video`", remedy)


def wanted(
    of_settings: Mapping[str, Camera],
    devices: Callable[[int | str], list[str]] = address.devices,
    command: Sequence[str] = CAPTURE_PROCESS,
) -> Iterator[Finding]:
    """Open the cameras of the settings, some at a time, and report what each gives or why it does not open.

    Args:
        of_settings: name -> camera.
        devices: returns the nodes that match the name of a device.
        command: starts a capture process.
    """
    with ThreadPoolExecutor(_MAX_AT_ONCE) as pool:
        yield from pool.map(lambda name: _open(name, of_settings[name], devices, command), of_settings)


def _open(name: str, camera: Camera, devices: Callable[[int | str], list[str]], command: Sequence[str]) -> Finding:
    about, source = f"camera {name}", address.redact(str(camera.source))
    kind = address.kind(camera.source)
    if kind == "device" and not devices(camera.source):
        return Finding(about, "fail", f"{source} does not exist", "check cable and power; `ls -l /dev/v4l/by-id`")
    if kind == "recording" and not os.path.exists(str(camera.source)):  # False for what no disk can hold
        return Finding(about, "fail", f"{source} does not exist", "correct cameras.source")
    sizes: set[tuple[int, int] | None] = set()
    began_s = time.monotonic()
    try:
        with Preview(camera, lambda frame, _: sizes.add(frame.hw), command) as preview:
            preview.open(_FIRST_S)
    except SourceUnavailable as error:
        return Finding(about, "fail", f"{source}: {error.what}", error.remedy or "run `patchedge probe`")
    took_s = time.monotonic() - began_s
    if (hw := sizes.pop()) is None:
        remedy = "run `patchedge probe`; try another codec of the camera"
        return Finding(about, "warn", f"{source} opens, but its first picture cannot be decoded", remedy)
    return Finding(about, "ok", f"{source} opens: {hw[1]} x {hw[0]} pixels, first picture after {took_s:.1f} s")


def _nodes(folder: Path) -> list[Path]:
    found = [entry for entry in folder.iterdir() if _NODE.fullmatch(entry.name)] if folder.is_dir() else []
    return sorted(found, key=lambda path: (len(path.name), path.name))


def _gives_pictures(root: Path, node: Path) -> bool:
    """Return whether a node is a camera's first: the second of a USB camera delivers metadata."""
    return not number(root / f"sys/class/video4linux/{node.name}/index")


def _stable_names(root: Path) -> dict[str, str]:
    """Return the stable name of each node, which it keeps on another port."""
    folder = root / "dev/v4l/by-id"
    links = sorted(folder.iterdir(), reverse=True) if folder.is_dir() else []
    return {link.readlink().name: f"/dev/v4l/by-id/{link.name}" for link in links if link.is_symlink()}


def _join(node: Path) -> str:
    try:
        name = node.group()
    except (KeyError, OSError):
        name = "video"
    return join_group(name)
