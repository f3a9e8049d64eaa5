"""A bundle from afar on a real device: staged, watched, activated, killed with -9, and taken back."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from edge_config.bundle import files as bundles
from edge_config.errors import RequestError
from edge_config.wire.candidates import (
    ActivateBundle,
    CandidateNow,
    GoBack,
    ReadStaged,
    RootChanged,
    ShadowBundle,
    StageBundle,
    UnstageBundle,
)
from edge_config.wire.messages import ScoreMessage
from edge_config.wire.versions import Versions, VersionsKept
from runtime.client.control_client import ControlClient
from runtime.client.subscriber import Subscriber
from tests.support.fakes.network import network_camera
from tests.support.forge import flip
from tests.support.processes import DEVICE, ENOUGH_S, started
from tests.support.tiny import THRESHOLD, with_threshold

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

CAMERA = "top"
T = TypeVar("T")


class Device:
    """A device that is in a fleet, with one camera, and its subscriber.

    Attributes:
        fleet: folder of the fleet.
        root: bundle of its settings.
        scores: score messages so far, of this start and earlier ones.
    """

    def __init__(self, folder: Path, bundle: Path, source: str) -> None:
        self.root = Path(shutil.copytree(bundle, folder / "line.bundle"))
        self.fleet = folder / "fleet"
        self.fleet.mkdir()
        self._config = folder / "device.yaml"
        self._events, self._control = f"ipc://{folder}/events", f"ipc://{folder}/control"
        self.scores: list[ScoreMessage] = []
        settings = {
            "bundle": str(self.root),
            "cameras": {CAMERA: {"source": source, "alerts": {"threshold": None}}},
            "events": {"bind": self._events, "wait_subscribers": 1},
            "control": {"bind": self._control},
            "learning": {"folder": str(folder / "learning")},
            "journal": {"path": str(folder / "journal.db")},
            "fleet": {
                "servers": ["nats://127.0.0.1:4"],
                "operators": ["ed25519:" + "0" * 64],
                "folder": str(self.fleet),
            },
            "metrics": {"enabled": False},
            "degrade": {"thermal_root": str(folder / "none"), "least_memory_mb": 0},
        }
        self._config.write_text(json.dumps(settings))  # JSON is YAML

    def run(self) -> Iterator[None]:
        """Run it, and kill it with -9 at the end."""
        with (
            Subscriber(self._events, kinds=("score",)) as self._subscriber,
            started(*DEVICE, "run", "--config", self._config) as process,
            ControlClient(self._control, timeout_s=ENOUGH_S) as self.client,
        ):
            self.until_score(lambda _: True)
            yield
            process.kill()
            process.wait(ENOUGH_S)

    def until_score(self, wanted: Callable[[ScoreMessage], bool]) -> ScoreMessage:
        """Receive scores until one is as wanted."""
        while True:
            received = self._subscriber.receive(ENOUGH_S)
            assert received is not None
            assert isinstance(received.message, ScoreMessage)
            self.scores.append(received.message)
            if wanted(received.message):
                return received.message

    def bring(self, threshold: float) -> tuple[Path, str]:
        """Put another bundle into the folder of the fleet; return its path and id."""
        path = with_threshold(self.root, self.fleet / f"{threshold:g}.bundle", threshold)
        return path, bundles.read(path).id

    def staged(self, *states: str) -> CandidateNow:
        """Wait until the candidate is in a state; frames go on meanwhile."""
        while (found := self.client.request(ReadStaged(camera=CAMERA), CandidateNow)).state not in states:
            self.until_score(lambda _: True)
        return found

    def stage(self, path: Path) -> CandidateNow:
        """Stage a bundle, and wait until it is checked."""
        found = self.client.request(StageBundle(camera=CAMERA, path=str(path)), CandidateNow)
        assert found.state == "checking"
        return self.staged("ready", "refused")


@pytest.fixture(scope="module")
def device(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    """Yield a device that is to be run."""
    with network_camera() as camera:
        yield Device(tmp_path_factory.mktemp("device"), tiny_bundle, camera.url)


def test_root_that_was_assigned_serves_after_kill_and_goes_back(device: Device) -> None:
    """Every frame has its score in order, by the old bundle before a reply and by the new one after it."""
    running = device.run()
    next(running)
    old = device.scores[-1].bundle
    path, new = device.bring(70.0)
    found = device.stage(path)
    assert (found.state, found.id, found.root, found.before) == ("ready", new, "", "")
    assert found.golden_difference is not None
    assert found.golden_difference < 1e-3
    assert found.frame_ms is not None
    assert min(found.frame_ms.now, found.frame_ms.candidate) > 0
    device.client.request(ShadowBundle(camera=CAMERA, seconds=1.5), CandidateNow)
    assert device.staged("shadow").shadow is not None
    shadow = device.staged("ready").shadow
    assert shadow is not None
    assert (shadow.differing, shadow.failed, shadow.alerts_candidate) == (0, 0, 0)
    assert shadow.frames > 5
    assert {one.bundle for one in device.scores} == {old}
    changed = device.client.request(ActivateBundle(camera=CAMERA, bundle=new), RootChanged)
    assert (changed.bundle, changed.before, changed.dropped_lessons.rounds) == (new, old, 0)
    assert device.until_score(lambda one: one.bundle == new).threshold == 70.0
    with pytest.raises(StopIteration):
        next(running)  # killed with -9
    _in_order(device.scores, [old, new])
    first = len(device.scores)
    running = device.run()
    next(running)
    assert device.scores[first].bundle == new
    again = device.client.request(ActivateBundle(camera=CAMERA, bundle=new), RootChanged)
    assert (again.bundle, again.before) == (new, old)
    kept = device.client.request(Versions(camera=CAMERA), VersionsKept)
    assert (kept.assigned, kept.versions[0].id, kept.versions[0].active) == (new, new, True)
    back = device.client.request(GoBack(camera=CAMERA), RootChanged)
    assert (back.bundle, back.before) == (old, new)
    assert device.until_score(lambda one: one.bundle == old).threshold == THRESHOLD
    with pytest.raises(RequestError, match="nothing to go back to"):
        device.client.request(GoBack(camera=CAMERA), RootChanged)
    _in_order(device.scores[first:], [new, old])
    with pytest.raises(StopIteration):
        next(running)
    first = len(device.scores)
    running = device.run()
    next(running)
    assert device.scores[first].bundle == old
    running.close()


def test_candidate_that_must_not_serve_is_refused(device: Device) -> None:
    """A damaged bundle, a link and another folder are refused with the reason; the old bundle never left service."""
    running = device.run()
    next(running)
    old, first = device.scores[-1].bundle, len(device.scores)
    damaged, _ = device.bring(81.0)
    flip(damaged / bundles.BANK)
    found = device.stage(damaged)
    assert found.state == "refused"
    assert "bank" in found.reason
    link = device.fleet / "link.bundle"
    link.symlink_to(device.root)
    for path, reason in (
        (link, "symbolic link"),
        (device.root, "is not below"),
        (device.fleet / ".." / "x", "absolute"),
    ):
        with pytest.raises(RequestError, match=reason):
            device.client.request(StageBundle(camera=CAMERA, path=str(path)), CandidateNow)
    assert device.client.request(UnstageBundle(camera=CAMERA), CandidateNow).state == "none"
    device.until_score(lambda _: not damaged.exists())
    _in_order(device.scores[first - 1 :], [old])
    running.close()


def test_bundle_that_a_person_puts_in_place_takes_over(device: Device) -> None:
    """While an assigned bundle serves, another one at the path of the settings is noticed, and serves from then on."""
    running = device.run()
    next(running)
    old, first = device.scores[-1].bundle, len(device.scores)
    path, new = device.bring(91.0)
    assert device.stage(path).state == "ready"
    device.client.request(ActivateBundle(camera=CAMERA, bundle=new), RootChanged)
    other = with_threshold(device.root, device.root.with_name("other.bundle"), 92.0)
    mine = bundles.read(other).id
    device.root.rename(device.root.with_name("before.bundle"))
    other.rename(device.root)
    device.until_score(lambda one: one.bundle == mine)
    found = device.client.request(ReadStaged(camera=CAMERA), CandidateNow)
    assert (found.root, found.before) == ("", "")
    kept = device.client.request(Versions(camera=CAMERA), VersionsKept)
    assert (kept.assigned, kept.versions[0].id) == ("", mine)
    assert "what was assigned is dropped" in kept.notice
    _in_order(device.scores[first:], [old, new, mine] if device.scores[first].bundle == old else [new, mine])
    running.close()


def _in_order(scores: list[ScoreMessage], bundles_: list[str]) -> None:
    """Check that no message is missing, and that bundles served one after the other."""
    numbers = [one.seq for one in scores]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert list(dict.fromkeys(one.bundle for one in scores)) == bundles_
    assert sum(a.bundle != b.bundle for a, b in itertools.pairwise(scores)) == len(bundles_) - 1
