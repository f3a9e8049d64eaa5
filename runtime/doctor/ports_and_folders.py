"""Check the ports that the runtime binds, and the folders that it writes to or reads from."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from edge_config.errors import KeysInvalid, SettingsError
from edge_config.settings.device import Settings
from runtime.doctor.finding import Finding
from runtime.journal.open_database import default_path
from runtime.teaching.picture import learning_folder

_MIB = 1 << 20
_ANY = {"*": "0.0.0.0"}  # noqa: S104 - as ZeroMQ writes it
_MAY_BE_OURS = "fine if patchedge is already running; otherwise stop the other program, or set another {key}"


def ports(settings: Settings) -> Iterator[Finding]:
    """Check which of the addresses to bind are in use."""
    binds = {"events.bind": settings.events.bind, "control.bind": settings.control.bind}
    if settings.metrics.enabled:
        binds["metrics.bind"] = settings.metrics.bind
    free = []
    for key, bind in binds.items():
        if no_folder := _folder_of_ipc(bind) if bind.startswith("ipc://") else "":
            remedy = f"create it, let this user write there, or set another {key}"
            yield Finding("ports", "fail", f"{key} {bind}: {no_folder}", remedy, data={key: bind})
        elif problem := "" if bind.startswith("ipc://") else _taken(bind):
            yield Finding("ports", "warn", f"{key} {bind}: {problem}", _MAY_BE_OURS.format(key=key), data={key: bind})
        else:
            free.append(bind)
    if free:
        yield Finding("ports", "ok", f"free: {', '.join(free)}", data={"free": free})


def journal(settings: Settings) -> Finding:
    """Check whether the journal can be written, and has disk space for its maximum size."""
    if not settings.journal.enabled:
        return Finding("journal", "ok", "disabled")
    path = Path(settings.journal.path) if settings.journal.path else default_path(settings.device)
    return _room("journal", path.absolute().parent, settings.journal.most_mb, "journal.path")


def clips(settings: Settings) -> Finding:
    """Check whether clips can be written, and have disk space for their maximum size."""
    if not settings.clips.folder:
        return Finding("clips", "ok", "disabled")
    return _room("clips", Path(settings.clips.folder).absolute(), settings.clips.most_mb, "clips.folder")


def learning(settings: Settings) -> Finding:
    """Check whether pictures and learnt bundles can be stored, and have disk space for their maximum size."""
    try:
        folder = learning_folder(settings).absolute()
    except OSError as error:
        return Finding("learning", "warn", f"nothing is stored or learnt: {error}", "set learning.folder")
    return _room("learning", folder, settings.learning.most_mb + settings.learning.versions_mb, "learning.folder")


def keys(settings: Settings) -> Finding:
    """Check whether the keys exist, and are not readable by others."""
    secret, clients = settings.security.secret_key, settings.security.clients
    if secret is None or clients is None:
        return Finding("encryption", "ok", "disabled")
    from runtime.security.keys import load_secret

    try:
        load_secret(Path(secret))
    except KeysInvalid as error:
        return Finding.of("encryption", error)
    if not Path(clients).is_dir():
        return Finding("encryption", "fail", f"{clients}: no such folder", "create it", SettingsError.exit_code)
    operating = len(list(Path(clients).glob("operate/*.key")))
    known = len(list(Path(clients).glob("*.key"))) + len(list(Path(clients).glob("view/*.key"))) + operating
    return Finding("encryption", "ok", f"{secret}; {known} clients, {operating} of them with the role operate")


def _room(about: str, folder: Path, most_mib: int, key: str) -> Finding:
    there = _nearest(folder)
    free_mib = shutil.disk_usage(there).free // _MIB
    data = {"folder": str(folder), "free_mib": free_mib, "most_mib": most_mib}
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        remedy = f"let this user write there, or set {key}; the service writes to /var/lib/patchedge"
        return Finding(about, "fail", f"{folder} cannot be written", remedy, data=data)
    says = f"{folder}, {free_mib} MiB free, at most {most_mib} needed"
    if free_mib < most_mib:
        return Finding(about, "warn", says, f"free disk space, or lower {about}.most_mb", data=data)
    return Finding(about, "ok", says, data=data)


def _nearest(folder: Path) -> Path:
    """Return the nearest existing folder of a path; the runtime creates those below it."""
    return next(path for path in (folder, *folder.parents) if os.path.lexists(path))


def _taken(bind: str) -> str:
    """Try to bind; return the reason if that fails."""
    host, _, port = bind.removeprefix("tcp://").rpartition(":")
    if port in {"*", "0"}:
        return ""
    host = _ANY.get(host, host).strip("[]")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
        with closing(socket.socket(family, kind)) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as a port closed a moment ago is free
            one.bind(address)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _folder_of_ipc(bind: str) -> str:
    folder = Path(bind.removeprefix("ipc://")).absolute().parent
    return "" if os.access(folder, os.W_OK | os.X_OK) else f"{folder} does not exist, or cannot be written"
