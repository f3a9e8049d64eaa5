"""Return address of a request: the frames before it, which its reply must begin with.

ROUTER puts the peer's identity first; the frames of the client's socket follow, up to and including an empty frame. REQ
adds the empty frame, with REQ_CORRELATE a number before it, each proxy on the way an identity; a bare DEALER adds
nothing. See ZeroMQ RFC 28.
"""

from __future__ import annotations

from collections.abc import Sequence

MAX_FRAMES = 8
"""Maximum length of an envelope after the identity, with the empty frame: REQ needs 2, and each proxy one more."""

MAX_BYTES = 1024
"""Maximum size of an envelope after the identity; the number of REQ has 4 bytes, an identity at most 255."""

KEPT = 1 + MAX_FRAMES + 2
"""Number of frames of a message that are used: identity, envelope, request, and its part."""


def split(frames: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Return the route of the answer and the frames after it.

    Args:
        frames: the first `KEPT` frames that ROUTER received, or all of them; the first is the peer's identity.

    Returns:
        If the first empty frame ends an envelope within the limits, that envelope is part of the route. Otherwise the
        route is the identity alone: the client is a bare DEALER, or its envelope is too large to be sent back.
    """
    try:
        end = frames.index(b"", 1, 1 + MAX_FRAMES) + 1
    except ValueError:
        end = 1
    if sum(map(len, frames[1:end])) > MAX_BYTES:
        end = 1
    return list(frames[:end]), list(frames[end:])
