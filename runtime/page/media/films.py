"""The films that the page has made of clips: a bounded folder, and one child process at a time that adds to it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec
import structlog

from edge_config.errors import PatchedgeError, UnavailableError, UnreadableImage
from edge_config.saving import writing
from runtime.page.media.film import BAD_CLIP, MP4, WEBM, MadeFilm
from runtime.process.background import background
from runtime.process.child import module
from runtime.process.out_of_memory import Child
from runtime.process.signals import signal_name

MAX_SECONDS = 180.0
"""Maximum time of making one film; one of a minute at 640 pixels takes some 10 s on an idle core."""

MEMORY_MB = 768
"""Limit of the memory of the child; one for 1920 x 1080 pixels takes some 150 MiB."""

MAX_WAITING = 8
"""Maximum number of films that wait to be made; one more is refused."""

MAX_MB = 200
"""Default of the maximum size of all films together, MiB."""

FILM_MAKER = module("runtime.page.media.film")
"""The command of the child; the paths of the clip and of the film are appended."""

_TYPES = {".mp4": MP4, ".webm": WEBM}
_NAME = re.compile(r"[0-9a-f]{32}\.(mp4|webm)")
_MAX_SAID = 500  # characters of the child's last line that are passed on

_log = structlog.get_logger()

Fetch = Callable[[Path], Awaitable[None]]
"""Writes a clip to a path."""


class Films:
    """Films by a key, such as the name of the clip. Use it from one event loop."""

    def __init__(
        self,
        folder: Path,
        most_mb: int = MAX_MB,
        max_seconds: float = MAX_SECONDS,
        command: Sequence[str] = FILM_MAKER,
    ) -> None:
        """Keep films in a folder of their own, which is made when the first one is.

        Args:
            folder: the folder; files in it that are no films of the page stay.
            most_mb: maximum size of all films together, MiB: those not played for longest are deleted.
            max_seconds: time-out of making one.
            command: starts the child.
        """
        self._folder = folder
        self._max_bytes = most_mb << 20
        self._max_seconds = max_seconds
        self._command = command
        self._turn = asyncio.Lock()
        self._making: dict[str, asyncio.Task[Path]] = {}
        self._child: subprocess.Popen[bytes] | None = None
        self._closed = False

    async def get(self, key: str, fetch: Fetch) -> tuple[Path, str]:
        """Return the path of a film and its media type; it is made if it is not there.

        Args:
            key: stands for the clip.
            fetch: gets the clip; what it raises is passed on.

        Raises:
            UnavailableError: PyAV is missing, too many films are being made, or this one takes too long.
            UnreadableImage: no film can be made of this clip.
            NotWritten: the disk is full.
        """
        name = hashlib.sha256(key.encode()).hexdigest()[:32]
        path = self._find(name)
        if path is None:
            path = await asyncio.shield(self._make_once(name, fetch))  # a viewer who leaves does not stop it
        return path, _TYPES[path.suffix]

    async def close(self) -> None:
        """End what is being made."""
        self._closed = True
        if self._child is not None:
            self._child.kill()
        for task in list(self._making.values()):
            with contextlib.suppress(PatchedgeError, OSError, asyncio.CancelledError):
                await task

    def _find(self, name: str) -> Path | None:
        for suffix in _TYPES:
            path = self._folder / f"{name}{suffix}"
            with contextlib.suppress(OSError):
                os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))  # read now: the last to be deleted
                return path
        return None

    def _make_once(self, name: str, fetch: Fetch) -> asyncio.Task[Path]:
        task = self._making.get(name)
        if task is None:
            if len(self._making) > MAX_WAITING or self._closed:
                raise UnavailableError("too many clips are asked for at once", remedy="try again in a minute")
            task = self._making[name] = asyncio.create_task(self._make(name, fetch))
            task.add_done_callback(lambda done: self._over(name, done))
        return task

    def _over(self, name: str, task: asyncio.Task[Path]) -> None:
        self._making.pop(name, None)
        if not task.cancelled() and (error := task.exception()) is not None:  # its viewer may have left
            _log.info("no film", reason=str(error))

    async def _make(self, name: str, fetch: Fetch) -> Path:
        async with self._turn:
            work = self._folder / "work"
            await asyncio.to_thread(self._prepare, work)
            clip = work / "clip.avi"
            try:
                await fetch(clip)
                film = await asyncio.to_thread(self._run, clip, work / name)
                return await asyncio.to_thread(self._keep, Path(film.path))
            finally:
                await asyncio.to_thread(_clear, work)

    def _prepare(self, work: Path) -> None:
        with writing(self._folder, "name another `folder` of the page"):
            work.mkdir(parents=True, exist_ok=True, mode=0o700)
        _clear(work)

    def _run(self, clip: Path, target: Path) -> MadeFilm:
        """Make a film in a child, and wait for it: the child ends with this thread."""
        command = background((*self._command, str(clip), str(target)), memory_mb=MEMORY_MB, threads=1)
        pipe = subprocess.PIPE
        if self._closed:
            raise UnavailableError("the page is stopping")
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as process:
            self._child, child = process, Child("film maker", process)
            if self._closed:  # by another thread, just before there was anything to kill
                process.kill()
            try:
                out, said = process.communicate(timeout=self._max_seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                why = f"the film took longer than {self._max_seconds:.0f} s, because the machine is busy"
                raise UnavailableError(why, remedy="try again later, or set a smaller `clips.width`") from None
            finally:
                self._child = None
        if process.returncode == 0:
            return msgspec.json.decode(out, type=MadeFilm)
        lines = said.decode(errors="replace").strip().splitlines() or [_how(process.returncode)]
        last = child.killed_for_memory() or lines[-1][:_MAX_SAID]
        raise (UnreadableImage if process.returncode == BAD_CLIP else UnavailableError)(last)

    def _keep(self, made: Path) -> Path:
        """Move a film to its place, and delete those not played for longest."""
        path = self._folder / made.name
        with writing(path, "free disk space"):
            made.replace(path)
            films = [one for one in self._folder.iterdir() if _NAME.fullmatch(one.name) and one != path]
            sizes = {one: one.stat() for one in films}
            room = self._max_bytes - path.stat().st_size
            for one in sorted(films, key=lambda one: sizes[one].st_atime_ns, reverse=True):
                room -= sizes[one].st_size
                if room < 0:
                    one.unlink(missing_ok=True)
        return path


def _how(code: int) -> str:
    if code < 0:
        return f"the film maker was ended by {signal_name(-code)}"
    return f"the film maker ended with exit code {code} and said nothing"


def _clear(folder: Path) -> None:
    for one in folder.iterdir():
        with contextlib.suppress(OSError):
            one.unlink()
