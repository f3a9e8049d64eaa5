"""A device with cameras, and the page beside it: processes of their own, as users start them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from runtime.page.users import manage
from runtime.page.users.register import Role
from tests.page.browser.camera import StagedCamera, staged_camera
from tests.support import growing
from tests.support.ports import free_port
from tests.support.processes import DEVICE, ENOUGH_S

PASSWORD = "correct horse battery"  # noqa: S105 - of pages that are not real
"""Of all users."""

MERGE_MS = 200
"""Scenes that a test puts before a camera are short, and follow soon."""

NOBODY: Mapping[str, Role] = MappingProxyType({})

_POLL_S = 0.03
_never = threading.Event()


def until(reached: Callable[[], Any], what: str, within_s: float = ENOUGH_S) -> Any:
    """Ask again and again, until the answer is something; return it."""
    end_s = time.monotonic() + within_s
    while not (found := reached()):
        assert time.monotonic() < end_s, f"not within {within_s:.0f} s: {what}"
        _never.wait(_POLL_S)
    return found


class Child:
    """A command that runs beside, its output in a file.

    Attributes:
        log: the file.
    """

    def __init__(self, log: Path, *command: object, state: Path) -> None:
        self.log = log
        self._command, self._state = [str(word) for word in command], state
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, once more after an end."""
        environment = os.environ | {"STATE_DIRECTORY": str(self._state)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=environment)

    @property
    def pid(self) -> int:
        """Return its process id."""
        assert self._process is not None
        return self._process.pid

    def alive(self) -> bool:
        """Return whether it runs; fail with its output if it has ended."""
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()[-4000:]
        return True

    def freeze(self) -> None:
        """Let it do nothing more until it is killed: what it is asked stays unanswered."""
        os.kill(self.pid, signal.SIGSTOP)

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(ENOUGH_S)

    def end(self) -> int:
        """End it as systemd does; return its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(ENOUGH_S)


class Page(Child):
    """`patchedge page`, at an address of its own.

    Attributes:
        url: its address, without a slash at the end.
        users: file of its users.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        store = folder / "store"
        store.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.users = store / "users.json"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        config = folder / "page.yaml"
        whole = {"bind": f"127.0.0.1:{port}", "folder": str(store), **settings}
        config.write_text(json.dumps(whole))  # JSON is YAML
        super().__init__(folder / "page.log", *DEVICE, "page", "--config", config, state=folder)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        super().start()
        until(lambda: self.alive() and self.answers(), "the page answers")

    def answers(self) -> bool:
        """Return whether it answers."""
        try:
            return bool(self.get("session"))
        except urllib.error.HTTPError:  # log in first
            return True
        except (urllib.error.URLError, ConnectionError):
            return False

    def get(self, path: str) -> Any:
        """Return what the API answers, without logging in."""
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=ENOUGH_S) as answer:  # noqa: S310 - of loopback
            return json.load(answer)

    def until_live(self, cameras: Iterable[str]) -> None:
        """Wait until the page knows a score of each of the cameras."""

        def live() -> bool:
            found = {one["name"]: one for one in self.get("cameras")["cameras"]}
            return self.alive() and all(name in found and found[name]["score"] is not None for name in cameras)

        until(live, f"scores of {cameras}")


class Rig:
    """A device with some cameras.

    Attributes:
        folder: of everything.
        cameras: by name.
        events, control: addresses of the device.
        config: file with its settings.
        device: the process.
    """

    def __init__(
        self,
        folder: Path,
        cameras: Mapping[str, StagedCamera],
        bundle: Path,
        more: Mapping[str, Any],
        merge_ms: int = 500,
    ) -> None:
        self.folder, self.cameras = folder, cameras
        self.events, self.control = f"ipc://{folder}/events", f"ipc://{folder}/control"
        self.config = folder / "device.yaml"
        settings = {
            "bundle": str(bundle),
            "device": "edge",
            "cameras": {
                name: {
                    "source": camera.url,
                    "stall_ms": 1500,
                    "reconnect_min_s": 0.1,
                    "reconnect_max_s": 0.3,
                    "alerts": {"merge_ms": merge_ms, "attach": ["jpeg", "heat_map"]},
                }
                for name, camera in cameras.items()
            },
            "events": {"bind": self.events, "heartbeat_s": 1},
            "control": {"bind": self.control},
            "metrics": {"enabled": False},
            "clips": {"folder": str(folder / "clips"), "before_s": 1, "after_s": 0.5},
            "degrade": {"thermal_root": str(folder / "none"), "least_memory_mb": 0},
            "threads": 1,
            **more,
        }
        self.config.write_text(yaml.safe_dump(settings))
        self.device = Child(folder / "device.log", *DEVICE, "run", "--config", self.config, state=folder)

    @property
    def of_page(self) -> dict[str, Any]:
        """Return what a page's settings say of the device."""
        return {"edge": {"events": self.events, "control": self.control}}

    @contextmanager
    def page(self, name: str = "page", users: Mapping[str, Role] = NOBODY, **settings: Any) -> Iterator[Page]:
        """Yield a page that shows the device until the block ends; users have a role each."""
        page = Page(self.folder / name, {"devices": self.of_page, **settings})
        for user, role in users.items():
            manage.add_user(page.users, user, role, lambda: PASSWORD)
        try:
            page.start()
            yield page
        finally:
            page.kill()


@contextmanager
def device(*names: str, **more: Any) -> Iterator[Rig]:
    """Yield a device with a camera for each of the names, until the block ends; `more` settings may be given."""
    with tempfile.TemporaryDirectory(prefix="page-") as folder, ExitStack() as stack:
        cameras = {name: stack.enter_context(staged_camera()) for name in names}
        bundle = growing.make_parent(Path(folder) / "line.bundle", mode="max")
        rig = Rig(Path(folder), cameras, bundle, more, MERGE_MS)
        stack.callback(rig.device.kill)
        rig.device.start()
        yield rig
