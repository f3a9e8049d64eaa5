"""An inference worker whose answers to frames make no sense: which one it gives, the threshold of the frame says."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType

import msgspec

from edge_config.wire.messages import MAX_BOXES, Part
from runtime.frame import BundleInfo, Result
from runtime.inference.protocol import Done, Job, Load, Loaded, PreviewDone, ToWorker
from runtime.process.child import from_parent
from runtime.process.long_payload import MAX_BYTES, pack

PART = Part(name="jpeg", media_type="image/jpeg")
TWO = Result(value=1.0, parts=(PART, PART))

Answer = tuple[msgspec.Struct, Sequence[int]]


def _sparse(size: int) -> int:
    descriptor = os.memfd_create("sparse")
    os.ftruncate(descriptor, size)
    return descriptor


def _endless() -> int:
    return os.open("/dev/zero", os.O_RDONLY)


def _write_only() -> int:
    """Return a memory that holds what is said, and cannot be read."""
    packed = pack([b"ab", b"c"])
    try:
        return os.open(Path(f"/proc/self/fd/{packed}"), os.O_WRONLY)
    finally:
        os.close(packed)


ANSWERS: MappingProxyType[str, Callable[[int], Answer]] = MappingProxyType(
    {
        "another frame's": lambda number: (Done(number + 1), []),
        "another bundle's": lambda number: (Loaded(number), []),
        "sizes without a parcel": lambda number: (Done(number, TWO, sizes=(2, 1)), []),
        "a parcel without sizes": lambda number: (Done(number, Result(value=1.0)), [pack([b"ab"])]),
        "parts without sizes": lambda number: (Done(number, TWO), []),
        "sizes without a result": lambda number: (Done(number, sizes=(2, 1)), [pack([b"ab", b"c"])]),
        "more sizes than parts": lambda number: (Done(number, TWO, sizes=(2, 1, 0)), [pack([b"ab", b"c"])]),
        "several parcels": lambda number: (Done(number, TWO, sizes=(2, 1)), [pack([b"abc"]), pack([b"abc"])]),
        "too small a parcel": lambda number: (Done(number, TWO, sizes=(2, 1)), [pack([b"ab"])]),
        "too large a parcel": lambda number: (Done(number, TWO, sizes=(2, 1)), [pack([b"abcd"])]),
        "a negative size": lambda number: (Done(number, TWO, sizes=(4, -1)), [pack([b"abc"])]),
        "more than there is": lambda number: (Done(number, TWO, sizes=(1, MAX_BYTES)), [_sparse(1 + MAX_BYTES)]),
        "a size beyond numbers": lambda number: (Done(number, TWO, sizes=(1, 2**70)), [pack([b"abc"])]),
        "a pipe": lambda number: (Done(number, TWO, sizes=(2, 1)), [os.pipe()[0]]),
        "a device": lambda number: (Done(number, TWO, sizes=(2, 1)), [_endless()]),
        "what cannot be read": lambda number: (Done(number, TWO, sizes=(2, 1)), [_write_only()]),
        "too many boxes": lambda number: (Done(number, Result(value=1.0, boxes=((0, 0, 1, 1),) * (MAX_BOXES + 1))), []),
    }
)

PREVIEWS: MappingProxyType[str, Callable[[int], Answer]] = MappingProxyType(
    {
        "before its result": lambda number: (PreviewDone(number), []),
        "of another frame": lambda number: (PreviewDone(number + 1), []),
        "parts without sizes": lambda number: (PreviewDone(number, parts=(PART,)), []),
        "sizes without parts": lambda number: (PreviewDone(number, sizes=(1,)), [pack([b"a"])]),
        "too large a parcel": lambda number: (PreviewDone(number, parts=(PART,), sizes=(1,)), [pack([b"ab"])]),
        "too many boxes": lambda number: (PreviewDone(number, ((0, 0, 1, 1),) * (MAX_BOXES + 1)), []),
    }
)


def main() -> None:
    """Take every bundle, and answer frames; one with a threshold below 0 by a preview, the first one at once."""
    link = from_parent(sys.argv, ToWorker)
    while True:
        message, descriptors = link.receive(None) or (None, [])
        for descriptor in descriptors:
            os.close(descriptor)
        if isinstance(message, Load):
            link.send(Loaded(message.number, BundleInfo("0" * 64, message.path, 1.0, 0.01)))
        elif isinstance(message, Job):
            answers = ANSWERS if message.threshold >= 0 else PREVIEWS
            kind = int(message.threshold if message.threshold >= 0 else -1 - message.threshold)
            if answers is PREVIEWS and kind:
                link.send(Done(message.number, Result(value=1.0)))
            link.send(*list(answers.values())[kind](message.number))
