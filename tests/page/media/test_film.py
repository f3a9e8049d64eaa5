"""Films of clips, as OpenCV's player sees them."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_config.errors import MissingExtra, UnavailableError, UnreadableImage
from runtime.page.media import film
from runtime.page.media.film import ENCODERS, make_film
from tests.support.clips import write_clip

pytest.importorskip("av", reason="PyAV is not installed (extra `page`)")

LEVELS = range(20, 240, 20)
LOSS = 6.0
"""Grey levels by which an encoder may change a flat picture."""

CLOCK_MS = 1.0
"""WebM counts time in milliseconds."""

WORKING = [encoder for encoder in ENCODERS if encoder.codec in {"libx264", "libvpx", "libvpx-vp9"}]


def shown(path: str) -> list[tuple[float, float]]:
    """Play a film; return the time, in milliseconds, and the mean grey of each picture."""
    capture, pictures = cv2.VideoCapture(path, cv2.CAP_FFMPEG), []
    while True:
        there, image = capture.read()
        if not there:
            return pictures
        pictures.append((capture.get(cv2.CAP_PROP_POS_MSEC), float(image.mean())))


@pytest.mark.parametrize("encoder", WORKING, ids=lambda encoder: encoder.codec)
@pytest.mark.parametrize(("hw", "made_hw"), [((48, 64), (48, 64)), ((47, 63), (46, 62)), ((17, 2400), (14, 1920))])
def test_film_shows_the_pictures_of_the_clip(
    tmp_path: Path, encoder: film.Encoder, hw: tuple[int, int], made_hw: tuple[int, int]
) -> None:
    """Every picture is there at its time, with its brightness, in an even size of at most 1920 pixels."""
    made = make_film(write_clip(tmp_path / "clip.avi", LEVELS, 4.0, hw), tmp_path / "film", (encoder,))
    assert (made.height, made.width) == made_hw
    assert made.seconds == pytest.approx(len(LEVELS) / 4.0)
    pictures = shown(made.path)
    assert len(pictures) == len(LEVELS)
    for number, ((ms, grey), level) in enumerate(zip(pictures, LEVELS, strict=True)):
        assert abs(ms - number * 250) <= CLOCK_MS
        assert abs(grey - level) <= LOSS


def test_repeated_pictures_keep_their_time(tmp_path: Path) -> None:
    """Pictures that the clip repeats are shown for as long as in the clip, and encoded once."""
    clip = write_clip(tmp_path / "clip.avi", [50] * 10 + [200] * 5, 5.0)
    made = make_film(clip, tmp_path / "film")
    times = [round(ms) for ms, _ in shown(made.path)]
    assert times == [0, 2000, 2800], "the two pictures, and the last one again, which sets the end"
    assert made.seconds == pytest.approx(3.0)


def test_mp4_can_be_played_before_it_is_whole(tmp_path: Path) -> None:
    """The index of an MP4 file stands before its pictures, so that a browser can start at once."""
    encoder = next(one for one in ENCODERS if one.codec == "libx264")
    content = Path(
        make_film(write_clip(tmp_path / "clip.avi", LEVELS), tmp_path / "film", (encoder,)).path
    ).read_bytes()
    assert 0 < content.find(b"moov") < content.find(b"mdat")


def test_encoder_that_does_not_work_is_passed_over(tmp_path: Path) -> None:
    """Where an encoder is missing, or its hardware is, the next one makes the film."""
    nowhere = film.Encoder("h264_v4l2m2m", ".mp4", film.MP4, {})
    none = film.Encoder("there_is_none", ".mp4", film.MP4, {})
    clip = write_clip(tmp_path / "clip.avi", LEVELS)
    assert make_film(clip, tmp_path / "film", (none, nowhere, *WORKING)).codec == WORKING[0].codec
    with pytest.raises(UnavailableError, match="none of the encoders there_is_none, h264_v4l2m2m"):
        make_film(clip, tmp_path / "film", (none, nowhere))


def write_foreign(path: Path) -> None:
    """Write an AVI file without JPEGs."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"FFV1"), 5.0, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()


def test_clip_that_is_none_gets_one_clear_error(tmp_path: Path) -> None:
    """A truncated, a damaged and a foreign file each raise one error that says what is wrong."""
    whole = write_clip(tmp_path / "clip.avi", LEVELS).read_bytes()
    (tmp_path / "short.avi").write_bytes(whole[:-100])
    (tmp_path / "empty.avi").write_bytes(b"")
    (tmp_path / "page.avi").write_bytes(b"<html>" * 100)
    (tmp_path / "header.avi").write_bytes(whole[:12] + bytes(len(whole) - 12))
    write_foreign(tmp_path / "foreign.avi")
    for name, said in {
        "short": "is truncated",
        "empty": "is truncated",
        "page": "no AVI file",
        "header": "the clip is damaged",
        "foreign": "pictures as ffv1, no JPEGs",
    }.items():
        with pytest.raises(UnreadableImage, match=said):
            make_film(tmp_path / f"{name}.avi", tmp_path / "film")


def test_without_pyav_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PyAV the error has the line that installs it."""
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtra, match=r"pip install 'patchedge\[page\]'"):
        make_film(write_clip(tmp_path / "clip.avi", LEVELS), tmp_path / "film")
