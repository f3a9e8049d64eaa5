"""Learnt bundles in a real worker: what is scored after a rollback, and what serves where one must not be served."""

from __future__ import annotations

import queue
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from edge_config.bundle import files as bundles
from edge_config.settings.sections import Trust
from runtime.events import EngineReady, Reloaded, ReloadRefused, Scored
from runtime.frame import SharedFrame, Wanted
from runtime.inference.bundle_paths import Origins
from runtime.inference.engine import Engine
from runtime.inference.protocol import ScoringOptions
from runtime.learning.grow.learn_on import learn_on
from runtime.process.backoff import Backoff
from runtime.process.shared_memory import SLOTS, Memory
from tests.support import growing
from tests.support.fakes.learner import child
from tests.support.forge import flip, public, sign
from tests.support.processes import ENOUGH_S
from tests.support.tiny import HEIGHT, WIDTH, normal_picture, strange_picture

pytestmark = pytest.mark.slow

CAMERA = "top"
PICTURES = [*(normal_picture(seed) for seed in range(3)), *(strange_picture(seed) for seed in range(3))]
WORKSHOP, DEVICE = SigningKey(b"w" * 32), SigningKey(b"d" * 32)


class Service:
    """A worker that serves one camera."""

    def __init__(self, path: Path, root: Path, **options: Any) -> None:
        self.events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        scoring = ScoringOptions(threads=1, **options)
        root_of = lambda path: "" if path == str(root) else str(root)  # noqa: E731
        self.engine = Engine(
            {CAMERA: str(path)},
            self.events.put,
            scoring,
            backoff=Backoff(0.01, 0.02),
            origins=Origins(root_of, lambda _camera, path: root_of(path)),
        )
        self.memory = Memory((HEIGHT, WIDTH))
        self.engine.attach(1, self.memory.descriptor, self.memory.size)
        self.engine.start()
        self._frames = 0

    def next(self) -> Any:
        return self.events.get(timeout=ENOUGH_S)

    def serve(self, path: Path) -> None:
        """Put a bundle into service."""
        self.engine.reload(CAMERA, str(path))
        assert isinstance(self.next(), Reloaded)

    def scores(self) -> list[float]:
        """Score all pictures."""
        found = []
        for picture in PICTURES:
            self._frames += 1
            frame = SharedFrame(1, self._frames % SLOTS, (HEIGHT, WIDTH), self._frames, 0, self._frames)
            self.memory.write(frame.slot, picture)
            self.engine.submit(CAMERA, frame, Wanted(1.0, 1e9))
            event = self.next()
            assert isinstance(event, Scored), event
            assert event.result is not None, event.reason
            assert event.result.value is not None
            found.append(event.result.value)
        return found


@contextmanager
def serving(path: Path, root: Path, **options: Any) -> Iterator[Service]:
    service = Service(path, root, **options)
    try:
        yield service
    finally:
        service.engine.close()
        service.memory.close()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return growing.make_parent(tmp_path_factory.mktemp("root") / "root.bundle")


@pytest.fixture(scope="module")
def learnt(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle that has learnt what it should not: the red square."""
    folder = tmp_path_factory.mktemp("learnt")
    defects = growing.write(folder / "defects", [strange_picture(seed) for seed in range(100, 108)])
    learn_on(growing.job(root, defects, folder / "learnt.bundle"), unsafe=True)
    return folder / "learnt.bundle"


def test_rollback_restores_the_very_same_scores(root: Path, learnt: Path) -> None:
    """A defect that was taught scores lower; after the rollback every score is what it was, bit for bit."""
    with serving(root, root) as service:
        assert isinstance(service.next(), EngineReady)
        before = service.scores()
        service.serve(learnt)
        taught = service.scores()
        service.serve(root)
        assert service.scores() == before
    assert max(taught[3:]) < min(before[3:])


@pytest.mark.parametrize("fault", ["damaged", "missing", "no child", "unsigned"])
def test_settings_bundle_serves_where_the_learnt_one_must_not(
    root: Path, learnt: Path, tmp_path: Path, fault: str
) -> None:
    """A version that is refused at the start is named with the reason, and the bundle of the settings serves."""
    bad, mine = tmp_path / "bad.bundle", tmp_path / "mine.bundle"
    shutil.copytree(root, mine)
    sign(mine, WORKSHOP)
    if fault != "missing":
        shutil.copytree(learnt, bad)
        sign(bad, DEVICE)
    match fault:
        case "damaged":
            flip(bad / bundles.BANK)
        case "no child":
            child(mine, bad, root="f" * 64)
            sign(bad, DEVICE)
        case "unsigned":
            (bad / bundles.SIGNATURE).unlink()
        case _:
            pass
    trusted = {"trust": Trust(keys=(public(WORKSHOP),)), "device_key": public(DEVICE)}
    with serving(bad, mine, **trusted) as service:
        refused, ready = service.next(), service.next()
        assert isinstance(refused, ReloadRefused)
        assert (refused.path, refused.instead) == (str(bad), str(mine))
        assert isinstance(ready, EngineReady)
        assert ready.bundles[CAMERA].path == str(mine)
        assert len(service.scores()) == len(PICTURES)


def test_child_that_the_device_signed_serves_from_the_start(root: Path, learnt: Path, tmp_path: Path) -> None:
    """With keys, a child of a signed bundle serves if the device's own key has signed it."""
    good, mine = tmp_path / "good.bundle", tmp_path / "mine.bundle"
    shutil.copytree(root, mine)
    shutil.copytree(learnt, good)
    sign(mine, WORKSHOP)
    sign(good, DEVICE)
    with serving(good, mine, trust=Trust(keys=(public(WORKSHOP),)), device_key=public(DEVICE)) as service:
        ready = service.next()
        assert isinstance(ready, EngineReady)
        assert ready.bundles[CAMERA].id == bundles.read(learnt).id


def test_bundle_that_is_refused_gives_way_to_one_for_each_camera(root: Path, tmp_path: Path) -> None:
    """Cameras that share an assigned bundle, which is refused at the start, serve the bundles of their own settings."""
    gone, other = tmp_path / "gone.bundle", tmp_path / "other.bundle"
    shutil.copytree(root, other)
    instead = {"top": str(root), "side": str(other)}
    events: queue.SimpleQueue[Any] = queue.SimpleQueue()
    origins = Origins(instead_of=lambda camera, path: instead[camera] if path == str(gone) else "")
    engine = Engine(dict.fromkeys(instead, str(gone)), events.put, ScoringOptions(threads=1), origins=origins)
    try:
        engine.start()
        told = [events.get(timeout=ENOUGH_S) for _ in range(3)]
        assert [(one.cameras, one.instead) for one in told[:2]] == [(("top",), str(root)), (("side",), str(other))]
        assert {camera: bundle.path for camera, bundle in told[2].bundles.items()} == instead
    finally:
        engine.close()
