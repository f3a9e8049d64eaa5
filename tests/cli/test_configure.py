"""`patchedge configure`: what is asked of the device, and what is printed of its reply."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_config.wire.configure import ChangedValue, ChangesKept, Configure, InForce, ListChanges, SettingsChange, Undo
from runtime.cli.main import main
from runtime.events import Asked
from runtime.messaging.control_socket import Control

TRIANGLE = ((0, 0), (9, 0), (9, 9))


class Device:
    """Answers with a threshold of 12, kept as change 3; lists one change."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.control = Control("tcp://127.0.0.1:*", self._answer)

    def _answer(self, asked: Asked) -> None:
        self.asked.append(asked.request)
        what = (
            ChangedValue(key="alerts.threshold", before=None, after=12),
            ChangedValue(key="regions", after=[[[0, 0]]]),
        )
        change = SettingsChange(
            number=3, camera="top", at_ms=1_800_000_000_000, by="KEY", user="Anna", what=what, undone=True
        )
        reply: Any = InForce(camera="top", threshold=12, bundle_threshold=9.5, alerts={}, change=3, file="d.yaml")
        if isinstance(asked.request, ListChanges):
            reply = ChangesKept(camera="top", changes=(change,))
        self.control.reply(asked, reply)

    def close(self) -> None:
        self.control.close()


@pytest.fixture
def device() -> Iterator[Device]:
    """Return a device."""
    with closing(Device()) as device:
        yield device


def run(device: Device, *words: str) -> int:
    return main(["configure", "top", *words, "--control", device.control.endpoint])


def test_change_is_sent_as_a_whole(device: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Threshold and regions of a file are one request; null takes regions away, what is not named stays."""
    (tmp_path / "r.yaml").write_text("regions: null\nignore: [[[0, 0], [9, 0], [9, 9]]]\n")
    assert run(device, "--threshold", "12", "--regions", str(tmp_path / "r.yaml"), "--keep", "--user", "Anna") == 0
    (asked,) = device.asked
    assert msgspec.structs.replace(asked, id="") == Configure(
        camera="top", alerts={"threshold": 12}, regions=None, ignore=(TRIANGLE,), keep=True, user="Anna"
    )
    assert capsys.readouterr().out == (
        "top: threshold 12 (bundle: 9.5), regions: none, all is judged\nchange 3 in d.yaml\n"
    )


def test_threshold_of_the_bundle_undo_and_list(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    """`bundle` is a threshold of null; undo and list are requests of their own, and a change is one line."""
    assert [run(device, *words) for words in (("--threshold", "bundle"), (), ("--undo",), ("--list",))] == [0] * 4
    first, shown, undo, listed = device.asked
    assert (first.alerts, first.regions, shown.alerts) == ({"threshold": None}, msgspec.UNSET, {})
    assert (type(undo), type(listed)) == (Undo, ListChanges)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "  3  2027-01-15 08:00:00 UTC  alerts.threshold: default -> 12, regions: default -> 1 polygons"
        "  by KEY  for Anna  (taken back)"
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--undo", "--threshold", "3"), 2, "--undo goes with no change"),
        (("--list", "--keep"), 2, "--list goes with no change"),
        (("--keep",), 2, "nothing to keep; give --threshold or --regions"),
        (("--regions", "none.yaml"), 78, "none.yaml: cannot be read"),
        (("--user", "a\nb", "--threshold", "3"), 2, "configure"),
    ],
)
def test_words_that_make_no_request(
    device: Device, words: tuple[str, ...], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are one line, and nothing is sent."""
    assert run(device, *words) == code
    assert said in capsys.readouterr().err
    assert device.asked == []


def test_file_with_other_keys_is_refused(device: Device, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A whole settings file is not taken for a file of regions."""
    (tmp_path / "r.yaml").write_text("bundle: b\nregions: null\n")
    assert run(device, "--regions", str(tmp_path / "r.yaml")) == 2
    assert "other keys than `regions` and `ignore`" in capsys.readouterr().err
