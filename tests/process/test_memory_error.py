"""Which errors mean that memory is missing."""

from __future__ import annotations

import pytest

from runtime.process.memory_error import out_of_memory

LIBRARY = "/usr/lib/_sparsetools.so"


@pytest.mark.parametrize("said", ["", ": Cannot allocate memory"])
def test_library_that_finds_no_room(said: str) -> None:
    """A limit such as `ulimit -v` that a library does not fit into is memory that is missing."""
    told = out_of_memory(ImportError(f"{LIBRARY}: failed to map segment from shared object{said}"))
    assert told is not None
    assert told.exit_code == 69
    assert LIBRARY in str(told)


@pytest.mark.parametrize(
    "said",
    [
        "cannot allocate memory in static TLS block",  # the order of imports, on ARM
        "failed to map segment from shared object: Operation not permitted",  # a disk that is mounted noexec
        "undefined symbol: x",
    ],
)
def test_library_that_fails_otherwise(said: str) -> None:
    """Other reasons why a library cannot be loaded are none of memory."""
    assert out_of_memory(ImportError(f"{LIBRARY}: {said}")) is None


def test_thread_of_a_library_that_finds_no_room() -> None:
    """A C++ library that cannot start a thread, under `ulimit -v`, ends a command with 69 and one line."""
    told = out_of_memory(RuntimeError("Resource temporarily unavailable"))
    assert told is not None
    assert told.exit_code == 69
    assert out_of_memory(RuntimeError("camera: Resource temporarily unavailable")) is None
