"""`patchedge watch` and `patchedge replay` of a device that can be asked."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

from edge_config.wire import messages
from edge_config.wire.messages import Part
from runtime.cli.replay import since
from runtime.scoring import heat_map
from tests.support.fakes.answering import Device
from tests.support.processes import DEVICE, ENOUGH_S, call, started

JPEG = b"\xff\xd8 a picture \xff\xd9"
HEAT_MAP = np.arange(6, dtype="<f4").reshape(2, 3)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """Yield a device that has a state and three alerts in its journal."""
    with Device(tmp_path) as device:
        device.state("a", "a is there")
        for alert_id in ("one", "two", "three"):
            device.alert("a", alert_id, "start", (JPEG,))
        yield device


def lines_of(done: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.splitlines()]


@pytest.mark.slow
def test_watch_with_a_name_prints_each_alert_once(device: Device) -> None:
    """What one run has printed is acknowledged, and the next run prints the rest; the second has no news."""
    words = (
        *DEVICE,
        "watch",
        device.events,
        "--control",
        device.control,
        "--name",
        "hall",
        "--kind",
        "alert",
        "--json",
    )
    first = call(*words, "--count", 2, "--timeout", ENOUGH_S)
    assert first.returncode == 0, first.stderr
    assert [line["message"]["alert_id"] for line in lines_of(first.stdout)] == ["one", "two"]
    second = call(*words, "--count", 1, "--timeout", ENOUGH_S)
    assert [(line["message"]["alert_id"], line["origin"]) for line in lines_of(second.stdout)] == [("three", "replay")]
    assert call(*words, "--timeout", 1).returncode == 69
    assert {ack.alert_id for ack in device.acks} == {"one", "two", "three"}


def test_watch_with_a_control_url_fetches_what_is_lost(device: Device) -> None:
    """It begins with what is the case, prints what was lost in its place, and ends on a signal with 0."""
    words = (*DEVICE, "watch", device.events, "--control", device.control, "--kind", "state", "--kind", "health")
    with started(*words) as watch:
        assert "state live: a is there" in watch.stdout.readline()
        device.wait_subscribed(["v1/state/", "v1/health/"])
        device.state("a", "lost")
        device.say(device.state("a", "heard"))
        assert [watch.stdout.readline().split(": ")[-1] for _ in range(2)] == ["lost\n", "heard\n"]
        device.say(device.health("a"))
        assert "edge/a health live, journal on\n" in watch.stdout.readline()
        watch.send_signal(signal.SIGINT)
        assert watch.wait(ENOUGH_S) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--name", "hall"], "--name needs --control"),
        (["--control", "tcp://127.0.0.1:9", "--name", "the hall"], "letters, digits"),
        (["--control", "tcp://127.0.0.1:9", "--name", "hall", "--kind", "state"], "subscriber of alerts"),
        (["--key", "mine"], "--key needs --server-key"),
    ],
)
def test_watch_refuses_what_does_not_go_together(words: list[str], said: str) -> None:
    """Arguments that make no sense are one line, and exit code 2."""
    done = call(*DEVICE, "watch", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.slow
def test_excess_of_an_alert_is_printed_where_it_is_known(device: Device) -> None:
    """The line of an alert ends with the excess of its peak; one in the journal of an earlier version has none."""
    device.alert("a", "three", "end", excess=2.456)
    done = call(*DEVICE, "replay", device.control, "--kind", "alert")
    *before, last = done.stdout.splitlines()
    assert len(before) == 3
    assert all(line.endswith(" peak 9.000 in frame 1") for line in before)
    assert last.endswith(" peak 9.000 in frame 1 excess 2.46")


def test_replay_prints_the_journal(device: Device) -> None:
    """All that the journal holds, over its pages, the oldest first; by kind and camera if wanted."""
    device.page = 2
    device.restart()
    device.state("b", "b is new")
    device.alert("a", "four", "end")
    done = call(*DEVICE, "replay", device.control)
    assert done.returncode == 0, done.stderr
    told = [
        line.split("ALERT start ")[-1].split("ALERT end ")[-1].split(" peak")[0] for line in done.stdout.splitlines()
    ]
    assert [one.split(": ")[-1] for one in told] == ["a is there", "one", "two", "three", "b is new", "four"]
    assert "2023-11-14" in done.stdout or "2023-11-15" in done.stdout  # START_NS, in any time zone
    done = call(*DEVICE, "replay", device.control, "--kind", "state", "--camera", "b", "--json")
    assert [line["message"]["reason"] for line in lines_of(done.stdout)] == ["b is new"]
    assert call(*DEVICE, "replay", device.control, "--since", "1h").stdout == ""
    assert len(call(*DEVICE, "replay", device.control, "--since", "2023-11-01").stdout.splitlines()) == 6


@pytest.mark.slow
def test_pictures_are_saved(device: Device, tmp_path: Path) -> None:
    """`--save` writes pictures and heat maps as files; one that is not what it says is told and passed over."""
    part, png = heat_map.encode(HEAT_MAP, (0, 0, 9, 9))
    device.alert("a", "../x", "end", (JPEG, png, HEAT_MAP.tobytes(), b"123"))
    entry = device.journal[-1]
    names = (
        Part(name="jpeg", media_type="image/jpeg"),
        part,
        Part(name="old", media_type="application/octet-stream", dtype="float32", shape=(2, 3)),
        Part(name="bad", media_type="application/octet-stream", dtype="float32", shape=(2, 3)),
    )
    fields = {name: getattr(entry.message, name) for name in entry.message.__struct_fields__}
    entry.frames[1] = messages.encode(entry.topic, type(entry.message)(**{**fields, "parts": names}))[1]
    done = call(*DEVICE, "replay", device.control, "--save", tmp_path / "saved")
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "bad is damaged" in done.stderr
    saved = sorted(path.name for path in (tmp_path / "saved").iterdir())
    assert saved == sorted(
        [
            "a-___x-epoch-1-4-heat_map.npy",
            "a-___x-epoch-1-4-jpeg.jpg",
            "a-___x-epoch-1-4-old.npy",
            *(f"a-{alert}-epoch-1-{seq}-jpeg.jpg" for seq, alert in enumerate(("one", "two", "three"), 1)),
        ]
    )
    assert (tmp_path / "saved" / "a-one-epoch-1-1-jpeg.jpg").read_bytes() == JPEG
    shown, old = (np.load(tmp_path / "saved" / f"a-___x-epoch-1-4-{name}.npy") for name in ("heat_map", "old"))
    np.testing.assert_allclose(shown, HEAT_MAP, atol=1e-4)
    np.testing.assert_array_equal(old, HEAT_MAP)


def test_replay_of_nobody_is_69(tmp_path: Path) -> None:
    """A device that does not answer is one line, and exit code 69."""
    done = call(*DEVICE, "replay", f"ipc://{tmp_path}/nobody", "--timeout", "0.3")
    assert done.returncode == 69
    assert "no answer within 0.3 s" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_replay_tells_what_the_device_says(device: Device) -> None:
    """A journal that is off is one line of the device."""
    device.has_journal = False
    done = call(*DEVICE, "replay", device.control)
    assert done.returncode == 1
    assert done.stderr == "patchedge: there is no journal\n"


def test_moments() -> None:
    """`--since` takes a date, a time, and how long ago."""
    now = datetime.now(timezone.utc)
    for text, ago in (("90s", timedelta(seconds=90)), ("1.5h", timedelta(hours=1.5)), ("3d", timedelta(days=3))):
        assert abs(now - ago - since(text)) < timedelta(minutes=1)
    assert since("2026-11-24T10:00+00:00") == datetime(2026, 11, 24, 10, tzinfo=timezone.utc)
    assert since("2026-11-24T10:00") == datetime(2026, 11, 24, 10).astimezone()
