"""Cameras: which are there, and whether this user may open them."""

from __future__ import annotations

import getpass
import grp
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from edge_config.sections import Camera
from runtime import address
from runtime.doctor.finding import Finding, lines, number

_NODE = re.compile(r"video[0-9]+")

MayOpen = Callable[[Path], bool]


def cameras(root: Path, may_open: MayOpen | None = None) -> Iterator[Finding]:
    """Say which cameras are there."""
    may_open = may_open or _may_open
    names = _stable_names(root)
    found = [node for node in _nodes(root / "dev") if _gives_pictures(root, node)]
    if not found:
        yield Finding("cameras", "ok", "none at this machine (/dev/video*): streams and files can be watched")
    for node in found:
        model = "".join(lines(root / f"sys/class/video4linux/{node.name}/name")) or "unnamed"
        stable = names.get(node.name, "")
        says = f"/dev/{node.name}: {model}" + (f", {stable}" if stable else "")
        data = {"node": f"/dev/{node.name}", "model": model, "stable": stable}
        if may_open(node):
            yield Finding("camera", "ok", says, data=data)
        else:
            yield Finding("camera", "fail", f"{says}: {_user()} may not open it", _join(node), data=data)


def group() -> Finding:
    """Say whether this user is in the group that cameras belong to."""
    try:
        wanted = grp.getgrnam("video")
    except KeyError:
        return Finding("group", "ok", "this system has no group `video`")
    if os.geteuid() == 0 or wanted.gr_gid in (*os.getgroups(), os.getegid()):
        return Finding("group", "ok", f"{_user()} may open what belongs to the group `video`")
    remedy = f"sudo usermod -aG video {_user()}, and log in again; the systemd unit has it; in a container: --group-add"
    return Finding("group", "warn", f"{_user()} is not in the group `video`", remedy)


def wanted(
    of_settings: Mapping[str, Camera], devices: Callable[[int | str], list[str]] = address.devices
) -> Iterator[Finding]:
    """Say which of the cameras of the settings are not there; none is opened.

    Args:
        of_settings: name -> camera.
        devices: gives the nodes that the name of a device stands for.
    """
    for name, camera in of_settings.items():
        about, source = f"camera {name}", address.redact(str(camera.source))
        kind = address.kind(camera.source)
        if kind == "device" and not devices(camera.source):
            yield Finding(about, "fail", f"{source} is not there", "check cable and power; `ls -l /dev/v4l/by-id`")
        elif kind == "recording" and not os.path.exists(str(camera.source)):  # False for what no disk can hold
            yield Finding(about, "fail", f"{source} is not there", "correct cameras.source")
        else:
            say = {"device": "is there", "recording": "is there", "stream": "is not opened here"}[kind]
            yield Finding(about, "ok", f"{source} {say}; look at it by `patchedge probe`")


def _nodes(folder: Path) -> list[Path]:
    found = [entry for entry in folder.iterdir() if _NODE.fullmatch(entry.name)] if folder.is_dir() else []
    return sorted(found, key=lambda path: (len(path.name), path.name))


def _gives_pictures(root: Path, node: Path) -> bool:
    """Tell whether a node is a camera's first: the second of a USB camera gives data about its pictures."""
    return not number(root / f"sys/class/video4linux/{node.name}/index")


def _stable_names(root: Path) -> dict[str, str]:
    """Give name of a node -> the name that it keeps when it is plugged elsewhere."""
    folder = root / "dev/v4l/by-id"
    links = sorted(folder.iterdir(), reverse=True) if folder.is_dir() else []
    return {link.readlink().name: f"/dev/v4l/by-id/{link.name}" for link in links if link.is_symlink()}


def _may_open(node: Path) -> bool:
    return os.access(node, os.R_OK | os.W_OK)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # of a container, whose user has no name
        return f"user {os.geteuid()}"


def _join(node: Path) -> str:
    try:
        name = node.group()
    except (KeyError, OSError):
        name = "video"
    return f"sudo usermod -aG {name} {_user()}, and log in again; in a container: --device and --group-add"
