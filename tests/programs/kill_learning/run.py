"""Kill a device at random instants of a learn-and-activate, or of a rollback, and check what serves afterwards.

    python -m tests.programs.kill_learning.run --instants 100 --seed 1 [--learner real]

Always: the bundle in service is whole and one that was made, each score has the threshold of the bundle that it names,
what was acknowledged lasts, another camera keeps its bundle, and nothing is left over.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from edge_config.wire.versions import LearnOn
from tests.programs.kill_learning.rig import CAMERA, KINDS, OTHER, Rig
from tests.support.fakes.network import network_camera

_UNFINISHED = ("queued", "running", "activating")
_pause = threading.Event()


def main() -> int:
    """Kill, and print what happened."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instants", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--learner", choices=("stub", "real"), default="stub")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kill-") as folder:
        seen = kill_at_random(Path(folder), args.instants, args.seed, args.learner, told=print)
    for what, count in sorted(seen.items()):
        print(f"{count:5} {what}")
    return 0


def kill_at_random(folder: Path, instants: int, seed: int, learner: str, told: Any = None) -> Counter[str]:
    """Kill as often as asked; return what was hit.

    Raises:
        AssertionError: something other than a whole bundle served, or something was left over.
    """
    with network_camera() as camera:
        rig = Rig(folder, camera.url, learner)
        try:
            rig.start()
            dice = random.Random(seed)  # noqa: S311 - to repeat a run
            return _Killer(rig, dice).kill(instants, told)
        finally:
            rig.close()


class _Killer:
    """Kills a device again and again."""

    def __init__(self, rig: Rig, dice: random.Random) -> None:
        self._rig = rig
        self._dice = dice
        self._span_s = {"learn": 1.0, "rollback": 0.15}  # how long it takes, as far as is known
        self._seen: Counter[str] = Counter()

    def kill(self, instants: int, told: Any) -> Counter[str]:
        for instant in range(instants):
            what, who = self._dice.choice(["learn", "learn", "rollback"]), self._dice.choice(list(KINDS))
            if what == "rollback" and self._rig.in_service() == self._rig.root_id:
                what = "learn"
            state = self._once(what, who)
            if told is not None:
                told(f"{instant + 1:4} {what:8} {who:8} {state}", flush=True)
        self._check()
        return self._seen

    def _once(self, what: str, who: str) -> str:
        """Begin something, kill somebody, and check."""
        rig, before = self._rig, self._rig.in_service()
        began_s = time.monotonic()
        replies: list[str] = []
        asking = threading.Thread(target=lambda: replies.append(rig.roll_back()))
        if what == "learn":
            rig.ask(LearnOn(camera=CAMERA))
        else:
            asking.start()
        _pause.wait(self._dice.uniform(0.0, 1.2 * self._span_s[what]))
        state, acknowledged = rig.learning() if what == "learn" else {"state": "going back"}, "".join(replies)
        if state["state"] == "done":
            acknowledged = state["version"]
        if acknowledged:
            state["state"] = "acknowledged"
        hit = rig.kill(who)
        self._seen[f"{what}: {who} killed, {state['state']}" if hit else f"{what}: no {who} to kill"] += 1
        if what == "rollback":
            asking.join()
            acknowledged = acknowledged or "".join(replies)
        if not rig.runs:
            rig.start()
        assert not acknowledged or rig.in_service() == acknowledged, "what was acknowledged is gone"
        while rig.learning()["state"] in _UNFINISHED:
            rig.scores(0.05)
        if not acknowledged and who != "parent" and what == "learn":
            self._span_s["learn"] = time.monotonic() - began_s
        self._check()
        return f"{state['state']:10} {before[:8]} -> {rig.in_service()[:8]}"

    def _check(self) -> None:
        """Check that a whole bundle serves, and nothing is left."""
        rig = self._rig
        for path in rig.shelf.versions_folder.glob("*.bundle"):
            rig.know(path)
        serving = rig.in_service()
        assert serving in rig.manifests, f"{serving} was never whole"
        assert rig.in_service(OTHER) == rig.root_id
        assert serving == rig.root_id or rig.shelf.path(serving).is_dir()
        active = rig.shelf.active()
        assert (rig.root_id if active is None else active.id) == serving, "active.json says another"
        scores = rig.scores(30.0)
        assert scores, "no scores"
        for one in scores:
            assert one.threshold == rig.manifests[one.bundle].calibration.threshold, "a mixed bundle"
        names = {path.name for path in rig.shelf.versions_folder.glob("*")}
        assert all(name.endswith((".bundle", ".json")) and not name.startswith(".") for name in names), names
        assert {Path(name).stem for name in names} == {one.short for one in rig.shelf.versions()}, names
        left = {path.name for path in rig.shelf.folder.iterdir()} - {"versions", "active.json", "taught", "pictures"}
        assert not left, left


if __name__ == "__main__":
    sys.exit(main())
