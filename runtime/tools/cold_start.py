"""Measure a cold start: `patchedge run` in a process of its own, until it has scored."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory, TemporaryFile

from edge_config.errors import SourceUnavailable
from runtime.camera import address
from runtime.client.subscriber import Subscriber

_TURN_S = 0.2  # interval of the checks whether the process that is waited for has ended


def cold_start(path: Path, source: str, threads: int, frames: int) -> tuple[float, float | None]:
    """Run `patchedge run` for this number of scores, or until it ends; return seconds to the first, and peak MB."""
    with TemporaryDirectory() as folder, TemporaryFile("w+") as log:
        endpoint = f"ipc://{folder}/events"
        words = ["--bundle", str(path), "--pace", "max", "--threads", str(threads), *_name(source, Path(folder))]
        words += ["--bind", endpoint, "--wait-subscribers", "1"]
        start = time.perf_counter()
        command = [sys.executable, "-m", "runtime.cli.main", "run", *words]
        with Popen(command, stderr=log, text=True) as process, Subscriber(endpoint, kinds=["score"]) as subscriber:
            try:
                if not _scored(process, subscriber):
                    log.seek(0)
                    said = (log.read().splitlines() or ["no score"])[-1].removeprefix("patchedge: ")
                    raise SourceUnavailable(f"`patchedge run` published nothing ({said})", where=address.redact(source))
                seconds, peak = time.perf_counter() - start, _memory_mb(process.pid)
                for _ in range(frames - 1):
                    if not _scored(process, subscriber):
                        break
                    peak = max(peak or 0.0, _memory_mb(process.pid) or 0.0) or None
            finally:
                process.terminate()
    return seconds, peak


def _name(source: str, folder: Path) -> list[str]:
    """Return the arguments for a source; a URL goes into a file, as other users can see the arguments of a process."""
    if address.kind(source) != "stream":
        return ["--source", source]
    settings = folder / "settings.toml"
    text = json.dumps(source, ensure_ascii=False)
    settings.write_text(f"bundle = 'none'\n[cameras.cam1]\nsource = {text}\n", encoding="utf-8")
    return ["--config", str(settings)]


def _scored(process: Popen[str], subscriber: Subscriber) -> bool:
    """Wait for the next score of a process; return False if it ended before."""
    while subscriber.receive(_TURN_S) is None:
        if process.poll() is not None:
            return False
    return True


def _memory_mb(pid: int) -> float | None:
    """Return the proportional set size of a process and its children, MB.

    None where Linux does not tell, or it has ended.
    """
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        children = Path(f"/proc/{pid}/task").glob("*/children")
        started = [int(child) for file in children for child in file.read_text(encoding="ascii").split()]
    except OSError:
        return None
    found = re.search(r"^Pss:\s+(\d+) kB", text, flags=re.MULTILINE)
    if found is None:
        return None
    return int(found.group(1)) * 1024 / 1e6 + sum(_memory_mb(child) or 0.0 for child in started)
