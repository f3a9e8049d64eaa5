"""One number bounds the threads of everything in the process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from edge_config.wire.messages import AnyMessage, ScoreMessage
from runtime.client.subscriber import Subscriber
from runtime.process.threads import limit_threads
from tests.support.processes import DEVICE, ENOUGH_S, started
from tests.support.tiny import write_pictures

PICTURES, STRANGE, BROKEN = 12, {4, 5, 9}, 7


@pytest.fixture(autouse=True)
def free() -> Iterator[None]:
    """Set three threads everywhere, which no test asks for, and put back what was there."""
    threads = cv2.getNumThreads()
    with threadpool_limits(limits=3):
        cv2.setNumThreads(3)
        yield
        cv2.setNumThreads(threads)


def blas_threads() -> set[int]:
    return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}


@pytest.mark.parametrize("wanted", [1, 2])
def test_number_bounds_opencv_and_blas(wanted: int) -> None:
    """OpenCV and every BLAS in the process use exactly as many threads as were asked for, and the number is given."""
    assert limit_threads(wanted) == wanted
    assert cv2.getNumThreads() == wanted
    assert blas_threads() == {wanted}


def test_blas_can_take_fewer() -> None:
    """A device gives BLAS one thread, and all the others to the rest."""
    assert limit_threads(2, blas=1) == 2
    assert cv2.getNumThreads() == 2
    assert blas_threads() == {1}


def test_zero_is_all_cores_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """0 stands for the cores that this process may use, which a container may have made fewer than there are."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {1})
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert limit_threads(0) == 1
    assert cv2.getNumThreads() == 1
    assert blas_threads() == {1}


def test_bound_holds_until_the_next() -> None:
    """The bound stays after the call, and a second call replaces it, upwards too."""
    limit_threads(1)
    limit_threads(2)
    assert cv2.getNumThreads() == 2
    assert blas_threads() == {2}


def messages_of_a_run(bundle: Path, source: Path, folder: Path, threads: int) -> list[AnyMessage]:
    """Run over a folder with so many threads, and give all that was published."""
    endpoint = f"ipc://{folder}/{threads}"
    words = ("--bundle", bundle, "--source", source, "--pace", "max", "--bind", endpoint, "--threads", threads)
    messages: list[AnyMessage] = []
    with (
        started(*DEVICE, "run", *words, "--wait-subscribers", 1) as process,
        Subscriber(endpoint) as subscriber,
    ):
        while not messages or getattr(messages[-1], "reason", "") != "end of recording":
            received = subscriber.receive(ENOUGH_S)
            assert received is not None
            messages.append(received.message)
        assert process.wait(ENOUGH_S) == 0
    assert subscriber.missed == 0
    return messages


def essence(messages: list[AnyMessage]) -> list[tuple[object, ...]]:
    """Return what must not depend on threads: all but clocks and names of this very run."""
    names = ("seq", "frame_id", "score", "label", "peak_xy", "phase", "peak_score", "peak_frame_id", "state")
    return [(type(message), *(getattr(message, name, "") for name in names)) for message in messages]


@pytest.mark.slow
def test_runs_with_one_and_two_threads_publish_the_same(tiny_bundle: Path, tmp_path: Path) -> None:
    """Whether stages overlap or not, the same messages come in the same order with the very same scores, a picture
    that cannot be decoded among them.
    """
    source = write_pictures(tmp_path / "pictures", STRANGE, PICTURES)
    (source / f"{BROKEN:04d}.png").write_bytes(b"no picture")
    one, two = (messages_of_a_run(tiny_bundle, source, tmp_path, threads) for threads in (1, 2))
    assert essence(two) == essence(one)
    scores = [message for message in one if isinstance(message, ScoreMessage)]
    assert [message.frame_id for message in scores] == list(range(1, PICTURES + 1))
    labels = dict.fromkeys(range(1, PICTURES + 1), "normal") | dict.fromkeys(STRANGE, "anomalous") | {BROKEN: "unknown"}
    assert {message.frame_id: message.label for message in scores} == labels
    assert [message.frame_id for message in scores if message.score is None] == [BROKEN]
