"""Make a film that browsers play from a clip of a device, which is Motion JPEG in AVI.

H.264 in MP4 where PyAV has an encoder for it, else VP8 or VP9 in WebM. The times of the frames stay; a picture that the
clip only repeats is shown for longer, and not encoded again. This module is also the program of the child process that
does it: a damaged clip, or one that takes all memory, ends only the child.
"""

from __future__ import annotations

import contextlib
import struct
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from edge_config.errors import MissingExtra, PatchedgeError, UnavailableError, UnreadableImage

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

MAX_SIDE = 1920
"""Maximum width and height of a film, pixels: a larger clip is reduced."""

MAX_FRAMES = 20_000
"""Maximum number of frames of a clip; one of a device has at most 18,000."""

MAX_PIXELS = 8192 * 8192
"""Maximum size of a picture of a clip."""

MP4, WEBM = "video/mp4", "video/webm"

BAD_CLIP = 65
"""Exit code where no film can be made of the clip, by whatever machine."""

INSTALL = "install it where the page runs: pip install 'patchedge[page]'"
"""Remedy where PyAV is missing."""

_DAMAGED = "the device may have deleted it meanwhile, or its disk is damaged; other clips are not affected"
_RIFF_HEADER = struct.Struct("<4sI4s")
_BT601 = 6  # number of SMPTE 170M for colours, their primaries and their transfer in FFmpeg: those of JPEG


class Encoder(NamedTuple):
    """A way to make a film: the name of an encoder in FFmpeg, its container, and the options of both."""

    codec: str
    suffix: str
    media_type: str
    options: dict[str, str]


_MPEG4 = {"movflags": "faststart"}
ENCODERS = (
    Encoder("libx264", ".mp4", MP4, {"preset": "veryfast", "crf": "23", "profile": "high"}),
    Encoder("libopenh264", ".mp4", MP4, {}),
    Encoder("h264_v4l2m2m", ".mp4", MP4, {}),
    Encoder("libvpx", ".webm", WEBM, {"deadline": "realtime", "cpu-used": "5", "crf": "20", "b": "2M"}),
    Encoder("libvpx-vp9", ".webm", WEBM, {"deadline": "realtime", "cpu-used": "7", "crf": "32", "b": "0"}),
)
"""In the order in which they are tried: one may be missing, or want hardware that is not there."""


class MadeFilm(msgspec.Struct, frozen=True, kw_only=True):
    """A film that was made.

    Attributes:
        path: its file.
        media_type: video/mp4 or video/webm.
        codec: name of the encoder.
        width, height: pixels.
        frames: number of pictures that were encoded; repeated ones are not.
        seconds: its length.
    """

    path: str
    media_type: str
    codec: str
    width: int
    height: int
    frames: int
    seconds: float


def make_film(clip: Path, target: Path, encoders: tuple[Encoder, ...] = ENCODERS) -> MadeFilm:
    """Make a film of a clip.

    Args:
        clip: the AVI file.
        target: path of the film without its suffix.
        encoders: those that may be used, the best first.

    Raises:
        MissingExtra: PyAV is not installed.
        UnreadableImage: it is truncated, damaged, or not a clip of a device.
        UnavailableError: there is no encoder that works.
        OSError: the film cannot be written.
    """
    try:
        import av  # FFmpeg takes 60 MB and 0.2 s; the page itself never needs it
    except ImportError as error:
        raise MissingExtra("PyAV (`av`) makes films of clips, and is not installed", remedy=INSTALL) from error
    check_whole(clip)
    av.logging.set_level(av.logging.PANIC)
    with _reading(clip), av.open(str(clip), format="avi", options={"protocol_whitelist": "file"}) as source:
        stream = _pictures_of(source, clip)
        size = _size_of(stream.width, stream.height)
        for encoder in encoders:
            if _works(encoder, size):
                return _encode(source, stream, encoder, target)
    names = ", ".join(encoder.codec for encoder in encoders)
    raise UnavailableError(f"PyAV has none of the encoders {names}", remedy=INSTALL)


def check_whole(clip: Path) -> None:
    """Check what FFmpeg forgives: that the file is an AVI file of the length that its header says.

    Raises:
        UnreadableImage: it is not.
    """
    size = clip.stat().st_size
    with clip.open("rb") as file:
        head = file.read(_RIFF_HEADER.size)
    if len(head) < _RIFF_HEADER.size:
        raise UnreadableImage("the clip is truncated", where=clip.name, remedy=_DAMAGED)
    riff, length, kind = _RIFF_HEADER.unpack(head)
    if (riff, kind) != (b"RIFF", b"AVI "):
        raise UnreadableImage("not a clip of a device: it is no AVI file", where=clip.name)
    if length + 8 != size:
        raise UnreadableImage(f"the clip is truncated: {size} bytes of {length + 8}", where=clip.name, remedy=_DAMAGED)


@contextlib.contextmanager
def _reading(clip: Path) -> Iterator[None]:
    """Translate FFmpeg's errors about a clip."""
    from av.error import FFmpegError

    try:
        yield
    except FFmpegError as error:
        if isinstance(error, OSError) and error.filename not in {None, str(clip)}:
            raise  # of the target
        raise UnreadableImage(f"the clip is damaged ({error.strerror})", where=clip.name, remedy=_DAMAGED) from error


def _pictures_of(source: InputContainer, clip: Path) -> VideoStream:
    """Return the stream of pictures of a clip."""
    stream = source.streams.video[0] if source.streams.video else None
    if stream is None or stream.codec_context.name != "mjpeg":
        what = "no pictures" if stream is None else f"pictures as {stream.codec_context.name}"
        raise UnreadableImage(f"not a clip of a device: it has {what}, no JPEGs", where=clip.name)
    if not 0 < stream.width * stream.height <= MAX_PIXELS or not 0 < stream.frames <= MAX_FRAMES:
        said = f"{stream.frames} pictures of {stream.width} x {stream.height}"
        raise UnreadableImage(f"not a clip of a device: it has {said}", where=clip.name)
    stream.codec_context.thread_count = 1
    return stream


def _size_of(width: int, height: int) -> tuple[int, int]:
    """Return the size of the film of a clip: within `MAX_SIDE`, and even, as YUV 4:2:0 needs."""
    shrink = min(1.0, MAX_SIDE / max(width, height))
    even = [max(2, round(side * shrink) // 2 * 2) for side in (width, height)]
    return even[0], even[1]


def _works(encoder: Encoder, size: tuple[int, int]) -> bool:
    """Return whether an encoder is there, and opens: that of hardware may lack the hardware."""
    import av

    try:
        context: Any = av.CodecContext.create(encoder.codec, "w")
        _configure(context, size, Fraction(1, 25))
        context.options = dict(encoder.options)
        context.open()
    except (av.FFmpegError, ValueError, OSError):
        return False
    return True


def _configure(context: av.VideoCodecContext, size: tuple[int, int], time_base: Fraction) -> None:
    context.width, context.height = size
    context.pix_fmt = "yuv420p"
    context.time_base = time_base
    context.framerate = 1 / time_base
    context.thread_count = 1
    context.colorspace = context.color_primaries = context.color_trc = _BT601
    context.color_range = 1  # the range of films, not that of JPEG, which some players ignore


def _encode(source: InputContainer, stream: VideoStream, encoder: Encoder, target: Path) -> MadeFilm:
    """Encode all pictures of a clip."""
    import av

    path = target.with_name(target.name + encoder.suffix)
    size = _size_of(stream.width, stream.height)
    time_base = stream.time_base or Fraction(1, 25)
    with av.open(str(path), "w", options=_MPEG4 if encoder.suffix == ".mp4" else {}) as film:
        shown = cast("VideoStream", film.add_stream(encoder.codec, rate=1 / time_base, options=encoder.options))
        _configure(shown.codec_context, size, time_base)
        frames, end = 0, 0
        for frame, end in _changes(source, stream):  # noqa: B007 - the last one counts
            film.mux(shown.encode(_converted(frame, size)))
            frames += 1
        film.mux(shown.encode(None))
    seconds = float(end * time_base)
    return MadeFilm(
        path=str(path),
        media_type=encoder.media_type,
        codec=encoder.codec,
        width=size[0],
        height=size[1],
        frames=frames,
        seconds=seconds,
    )


def _converted(frame: VideoFrame, size: tuple[int, int]) -> VideoFrame:
    """Return a picture in the size and the colours of the film, at its time."""
    new = frame.reformat(*size, "yuv420p", src_color_range="JPEG", dst_color_range="MPEG")
    new.pts, new.time_base = frame.pts, frame.time_base
    return new


def _changes(source: InputContainer, stream: VideoStream) -> Iterator[tuple[VideoFrame, int]]:
    """Yield each picture that differs from the one before it, and the last one; with the end of its time."""
    before, repeated = b"", None
    for number, packet in enumerate(source.demux(stream)):
        if packet.pts is None or not packet.size:
            continue
        if number > MAX_FRAMES:
            raise UnreadableImage("not a clip of a device: it has too many pictures", where=source.name)
        jpeg = bytes(packet)
        if jpeg == before:
            repeated = packet
            continue
        before, repeated = jpeg, None
        yield from _decoded(packet)
    if repeated is not None:
        yield from _decoded(repeated)


def _decoded(packet: Packet[VideoStream]) -> Iterator[tuple[VideoFrame, int]]:
    assert packet.pts is not None  # noqa: S101 - for the type checker
    for frame in packet.decode():
        frame.pts = packet.pts
        yield frame, packet.pts + (packet.duration or 1)


def main() -> int:
    """Make a film, as a child of the page: the arguments are the clip, and the film without its suffix."""
    clip, target = (Path(word) for word in sys.argv[1:3])
    try:
        film = make_film(clip, target)
    except PatchedgeError as error:
        sys.stderr.write(f"{error}\n")
        return BAD_CLIP if isinstance(error, UnreadableImage) else error.exit_code
    except MemoryError:
        sys.stderr.write("the clip needs more memory than the page gives it\n")
        return BAD_CLIP
    except OSError as error:
        sys.stderr.write(f"the film cannot be written ({error.strerror or error})\n")
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(film))
    return 0
