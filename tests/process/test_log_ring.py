"""The last lines of the log in memory: numbered, bounded, and without secrets."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from runtime.process.log import set_up_logging
from runtime.process.log_ring import MAX_CHARACTERS, LogRing


@pytest.fixture
def ring() -> Iterator[LogRing]:
    """Yield the ring of a process whose log is set up."""
    before = structlog.get_config()
    ring = LogRing(5)
    set_up_logging(ring)
    yield ring
    structlog.configure(**before)


def test_lines_are_those_of_the_log(ring: LogRing, capsys: pytest.CaptureFixture[str]) -> None:
    """A kept line is the line on standard error, and its level stands beside it."""
    structlog.get_logger().warning("camera lost", camera="top", by="KEY for Anna")
    ((number, _, level, text),) = ring.after(0, 9)[0]
    assert (number, level, text) == (1, "warning", capsys.readouterr().err.strip())
    assert json.loads(text)["camera"] == "top"


def test_secrets_are_hidden(ring: LogRing) -> None:
    """Passwords of addresses are not in the kept lines either."""
    structlog.get_logger().info("opened", source="rtsp://user:secret@cam/1", more={"url": "http://u:secret@x/"})
    assert "secret" not in ring.after(0, 9)[0][0].text


def test_lines_are_asked_for_by_number(ring: LogRing) -> None:
    """Each line is read once, however often is asked; lines that are gone are counted."""
    log = structlog.get_logger()
    for number in range(3):
        log.info("line", number=number)
    first, more, missed = ring.after(0, 2)
    assert ([line.number for line in first], more, missed) == ([1, 2], True, 0)
    for number in range(3, 9):
        log.info("line", number=number)
    rest, more, missed = ring.after(2, 9)
    assert ([line.number for line in rest], more, missed) == ([5, 6, 7, 8, 9], False, 2)
    assert ring.after(9, 9) == ([], False, 0)


def test_long_line_is_cut_off(ring: LogRing) -> None:
    """One line cannot take the memory of all."""
    structlog.get_logger().info("x" * 10 * MAX_CHARACTERS)
    assert len(ring.after(0, 9)[0][0].text) == MAX_CHARACTERS
