"""What an operator sees of the fleet: what devices should run and run, lessons, changes, roll-outs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from edge_config.errors import SettingsError, UsageError
from edge_config.wire.fleet import Assignment, Children
from runtime.fleet.rollout import settings_file
from runtime.fleet.rollout.bundle_wanted import bundle_wanted
from runtime.fleet.rollout.record import begun
from runtime.fleet.rollout.status import about, status_of
from runtime.fleet.rollout.table import lines
from runtime.fleet.rollout.wanted import wanted
from tests.fleet.rollout.fleet_of import NEW, NOW_MS, OLD, OTHER, report, rollout_of
from tests.support.fakes.fleet_store import FakeFleetStore


def assignment(counter: int, target: str, root: str = "", **more: object) -> Assignment:
    pack = {"pack_sha256": "cd" * 32, "pack_bytes": 9} if root else {}
    return Assignment(counter=counter, target=target, root=root, **pack, **more)  # type: ignore[arg-type]


def test_the_highest_counter_holds() -> None:
    """The newest assignment of the device or a group holds; bundles and settings do not hide each other."""
    some = [
        assignment(1, "group:press", OLD),
        assignment(2, "device:edge-1", NEW, camera="belt"),
        assignment(3, "group:hall", OTHER),
        assignment(4, "group:press", settings={"alerts": {"threshold": 2.0}}),
        assignment(5, "device:edge-2", OTHER),
    ]
    mine = {"device:edge-1", "group:press"}
    belt, lid = wanted(some, mine, "belt"), wanted(some, mine, "lid")
    assert (belt.root, belt.target, belt.counter) == (NEW, "device:edge-1", 4)
    assert (lid.root, lid.settings) == (OLD, {"alerts": {"threshold": 2.0}})
    assert wanted([*some, assignment(6, "group:press", settings={})], mine, "lid").settings is None


@pytest.mark.parametrize(
    ("root", "active", "learnt", "children", "in_place", "would_drop"),
    [
        (NEW, NEW, 0, "keep", True, False),
        (NEW, OTHER, 12, "keep", True, False),  # a child of what was assigned
        (NEW, OTHER, 12, "drop", False, True),
        (OLD, OLD, 0, "keep", False, False),
        (OLD, OTHER, 12, "keep", False, True),  # another root does not have these lessons
    ],
)
def test_lessons(root: str, active: str, learnt: int, children: Children, *, in_place: bool, would_drop: bool) -> None:
    """A child of the assigned root is in place unless children are dropped; another root would drop what was learnt."""
    camera = {"root": root, "active": active, "round": int(learnt > 0), "learnt": learnt}
    reports = {"edge-1": report("edge-1", camera=camera)}
    status = status_of(reports, [assignment(1, "group:press", NEW, children=children)], {}, NOW_MS)
    found = status.devices[0].cameras[0]
    assert (found.in_place, found.would_drop) == (in_place, would_drop)


def test_the_table() -> None:
    """Each camera is a row; below it is what else a person should know; a device that is off is marked."""
    reports = {
        "edge-1": report("edge-1", root=NEW, phase="in place", counter=3, rollout="r-1"),
        "edge-2": report(
            "edge-2",
            age_ms=3_600_000,
            phase="refused",
            reason="golden frame 2 scores 0.4 apart",
            camera={
                "active": OTHER,
                "round": 2,
                "learnt": 12,
                "settings_changed": ["alerts.threshold"],
                "drift": "darker",
            },
        ),
    }
    rollout = replace(
        begun(rollout_of({"edge-1": reports["edge-1"]}, by="anna"), reports, NOW_MS), counters={"edge-1": 3}
    )
    other = replace(
        rollout,
        id="r-2",
        at_ms=NOW_MS,
        state="stopped",
        reason="edge-2 refused: parity",
        back=("edge-1", "edge-2"),
        counters={"edge-1": 2, "edge-2": 5},
    )
    status = status_of(reports, [assignment(3, "group:press", NEW)], {"r-1": rollout, "r-2": other}, NOW_MS + 60_000)
    assert list(lines(status)) == [
        "ROLL-OUT  STATE    STAGE   IN PLACE  FOR          WHAT          BY    SINCE",
        "r-2       stopped  1 of 1  0 of 0    group press  0b0b0b0b0b0b  anna  60 s",
        "    edge-2 refused: parity",
        "    going back: edge-2",
        "    went back: edge-1",
        "r-1       running  1 of 1  1 of 1    group press  0b0b0b0b0b0b  anna  60 s",
        "",
        "DEVICE  REPORT        PHASE     CAMERA  STATE  SHOULD RUN      RUNS             ALERTS/H  MS",
        "edge-1  60 s          in place  belt    live   0b0b0b0b0b0b    0b0b0b0b0b0b     0         0",
        "edge-2  61 min (off)  refused   belt    live   0b0b0b0b0b0b !  0a0a0a0a0a0a +2  0         0",
        "    refused: golden frame 2 scores 0.4 apart",
        "    has assignment none of 3",
        "    runs 0c0c0c0c0c0c, which learnt 12 pictures in 2 rounds on the device; what is assigned would drop them",
        "    changed on the device: alerts.threshold",
        "    drift: darker",
    ]
    one = about(status, rollout)
    assert ([device.device for device in one.devices], [rollout.id for rollout in one.rollouts]) == (
        ["edge-1"],
        ["r-1"],
    )
    assert list(lines(status_of({}, [], {}, NOW_MS))) == ["no device has ever reported"]


SETTINGS = """\
threshold: 2.5
alerts: {min_frames: 3}
ignore: [[[0, 0], [90, 0], [90, 40]]]
regions: null
"""


def test_settings_of_a_file(tmp_path: Path) -> None:
    """A file is what the request `configure` takes; `threshold` is short for the one in `alerts`."""
    path = tmp_path / "calm.yaml"
    path.write_text(SETTINGS)
    assert settings_file.read(path) == {
        "alerts": {"min_frames": 3, "threshold": 2.5},
        "ignore": [[[0, 0], [90, 0], [90, 40]]],
        "regions": None,
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "is empty"),
        ("source: 0", "unknown key `source`; there are threshold, alerts, regions, ignore"),
        ("threshold: -1", "threshold"),
        ("alerts: {min_frame: 3}", "min_frame"),
        ("alerts: 3", "`alerts` is not a section"),
        ("regions: [[[0, 0], [1, 1]]]", "not settings of a camera"),
    ],
)
def test_settings_that_no_camera_takes(tmp_path: Path, text: str, said: str) -> None:
    """What no camera would take is refused before anything is assigned, and the file is named."""
    path = tmp_path / "calm.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=f"calm.yaml.*{said}"):
        settings_file.read(path)


def test_a_bundle_by_the_beginning_of_its_id(tiny_bundle: Path) -> None:
    """At least 8 digits of an id that the fleet knows are enough, and a file or folder is pushed."""
    asyncio.run(_by_id(tiny_bundle))


async def _by_id(tiny_bundle: Path) -> None:
    store = FakeFleetStore()
    await store.say(report("edge-1", camera={"root": OLD, "active": OLD[:10] + "ff" * 27}))
    assert await bundle_wanted(store, OLD[:12]) == OLD
    assert await bundle_wanted(store, NEW) == NEW
    for text, said in [
        (OLD[:10], "2 bundles begin so"),
        (NEW[:12], "no bundle that the fleet knows"),
        ("line.pack", "no such file"),
    ]:
        with pytest.raises(UsageError, match=said):
            await bundle_wanted(store, text)
    pushed = await bundle_wanted(store, str(tiny_bundle))
    assert (await store.pack(pushed)).bundle == pushed
