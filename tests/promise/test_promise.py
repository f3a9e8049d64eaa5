"""What `recalibrate` and `fit` say of false alerts a day, and what they refuse."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_config.bundle import files as bundles
from edge_config.bundle.manifest import AlertsPromise
from edge_config.errors import UsageError
from runtime.frame import Image, Neighbours, Score
from runtime.learning.pictures.clock import read_timed, times_of
from runtime.learning.pictures.images import Pictures
from runtime.learning.promise import words
from runtime.learning.promise.count import Stretch
from runtime.learning.promise.promise import MAX_FRAMES, PromisedAlerts, from_stretches, promise_alerts, require_time
from tests.support.small import HEIGHT, WIDTH, call_export, small_options
from tests.support.tiny import normal_picture

START = 1_790_000_000
"""Some second of the year 2026."""


def record(folder: Path, count: int, step_s: float) -> Path:
    """Write small pictures named as `patchedge record` names them; each holds its number in its first pixels."""
    folder.mkdir()
    for number in range(count):
        at_s = START + number * step_s
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(int(at_s)))
        image = np.full((4, 4, 3), (number % 250, number // 250, 7), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{stamp}.{int(at_s % 1 * 1000):03d}Z-{number + 1:06d}.png"), image)
    return folder


def number_of(image: Image) -> int:
    return int(image[0, 0, 0]) + 250 * int(image[0, 0, 1])


def walked(folder: Path, limit: int | None = None) -> Pictures:
    pictures = Pictures(folder, limit=limit)
    for _ in pictures:
        pass
    return pictures


def scored(value: float) -> Score:
    none = np.empty(0)
    return Score(value, 0, 0, Neighbours(none.astype(np.float32), none.astype(np.int64), none.astype(np.uint8)))


def largest(scores: np.ndarray) -> float:
    return float(scores.max())


def test_names_of_record_are_times(tmp_path: Path):
    """Pictures of `patchedge record` have the time in their names, to the millisecond; others have none."""
    pictures = Pictures(record(tmp_path / "recorded", 5, 0.25))
    assert times_of(pictures) == [START + number / 4 for number in range(5)]
    read = [
        (number, at_s, number_of(image)) for number, at_s, image in read_timed(pictures, [range(1, 3), range(4, 5)])
    ]
    assert read == [(1, START + 0.25, 1), (2, START + 0.5, 2), (4, START + 1.0, 4)]
    cv2.imwrite(str(tmp_path / "recorded" / "other.png"), np.zeros((4, 4, 3), np.uint8))
    assert times_of(Pictures(tmp_path / "recorded")) is None


def test_every_frame_of_the_stretches_is_judged(tmp_path: Path):
    """Of 1,400 pictures 49 calibrate; all from the first to the last of a stretch are scored, and an alert is found."""
    pictures = walked(record(tmp_path / "recorded", 1400, 1.0), limit=50)
    seen: list[int] = []

    def score(image: Image) -> Score:
        seen.append(number := number_of(image))
        return scored(9.0 if number in (400, 401) else 1.0)

    groups = [list(range(24)), list(range(25, 38)), list(range(38, 50))]
    outcome = promise_alerts(pictures, groups, np.ones(49), score, largest)
    numbers = pictures.numbers
    assert seen == [*range(numbers[23] + 1), *range(numbers[25], 1400)]
    assert outcome.frames == len(seen)
    assert outcome.at_s == (START + 400,)
    assert outcome.promise is not None
    assert (outcome.promise.alerts, outcome.promise.basis, outcome.promise.fps) == (1, "counted", 1.0)
    assert outcome.promise.hours == pytest.approx(len(seen) / 3600)
    assert "1 counted in 22 minutes of normal video; 1 a day needs 72 hours" in outcome.text


def test_short_recording_gets_no_promise(tmp_path: Path):
    """Of 20 seconds nothing is promised, nothing is scored, and what a promise needs is said."""
    pictures = walked(record(tmp_path / "recorded", 100, 0.2))
    groups = [list(range(12)), list(range(50, 63))]
    outcome = promise_alerts(pictures, groups, np.ones(25), lambda _: pytest.fail("scored"), largest)
    assert outcome == PromisedAlerts(
        text="the recording is 20 s long (5 s of it held out): no promise a day can be made of it; "
        "10 minutes are the least, and 1 a day needs 72 hours"
    )


def test_frames_are_bounded_unless_alerts_a_day_are_wanted():
    """More frames than the maximum are said to be too many where they would be too short a time."""
    said = words.too_many(90_000, 50.0, MAX_FRAMES)
    assert said.startswith("no promise a day: 90000 held-out frames at 50 a second are too many to score unasked")


def test_pictures_without_time_say_nothing(tmp_path: Path):
    """A folder of other pictures has no promise and no line about it; wanting one is refused with a remedy."""
    (tmp_path / "plain").mkdir()
    for number in range(4):
        cv2.imwrite(str(tmp_path / "plain" / f"{number}.png"), normal_picture(number))
    pictures = walked(tmp_path / "plain")
    assert promise_alerts(pictures, [[0, 1], [2, 3]], np.ones(4), lambda _: scored(1.0), largest) == PromisedAlerts()
    require_time(pictures, None, 1.0)
    with pytest.raises(UsageError, match="the pictures have no time") as refused:
        require_time(pictures, 1.0, 1.0)
    assert "patchedge record" in str(refused.value)


def test_too_short_a_recording_is_refused_before_the_work(tmp_path: Path):
    """A number of alerts a day cannot be chosen from a minute; the line says how much video it takes."""
    pictures = Pictures(record(tmp_path / "recorded", 60, 1.0))
    with pytest.raises(UsageError, match="the recording is 60 s long") as refused:
        require_time(pictures, 1.0, 0.25)
    assert "40 minutes of normal video" in str(refused.value)


def test_video_has_the_time_of_its_frame_rate(tmp_path: Path):
    """Frames of a video are 1 / fps apart, by its header and as they are read."""
    path = tmp_path / "clip.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5.0, (64, 48))
    for number in range(12):
        video.write(normal_picture(number))
    video.release()
    pictures = Pictures(path)
    assert times_of(pictures) == pytest.approx([number / 5 for number in range(12)])
    read = [(number, at_s) for number, at_s, _ in read_timed(pictures, [range(2, 4), range(9, 20)])]
    assert [number for number, _ in read] == [2, 3, 9, 10, 11]
    assert [at_s for _, at_s in read] == pytest.approx([0.4, 0.6, 1.8, 2.0, 2.2])


def test_extrapolation_is_named():
    """A threshold for 1 alert a day from half an hour is called an extrapolation in words and in the manifest."""
    random = np.random.default_rng(1)
    parts = [1 + random.exponential(1.0, 2250).repeat(2)[:2250] for _ in range(2)]
    stretches = [Stretch(np.arange(2250) / 5, part, np.zeros(2250, dtype=bool), part[::60]) for part in parts]
    outcome = from_stretches(stretches, largest, 1.0, where="x")
    assert outcome.promise is not None
    assert (outcome.promise.basis, outcome.promise.wanted) == ("extrapolated", 1.0)
    assert outcome.promise.alerts_a_day == pytest.approx(1.0)
    assert outcome.promise.upper > 1
    assert outcome.promise.min_ms is not None
    assert "an extrapolation beyond the video" in outcome.text
    assert "1 a day needs 72 hours" in outcome.text
    assert outcome.threshold is not None
    assert outcome.threshold > max(float(part.max()) for part in parts)


def test_promise_is_said_in_words():
    """Few alerts have two digits, many none; the rate of frames and the hours are named."""
    promise = AlertsPromise(alerts_a_day=0.0, upper=71.9, basis="counted", alerts=0, hours=1.0, fps=5.0)
    assert words.promised(promise) == (
        "at most 72 false alerts a day at 5 frames a second (95%), 0 counted in 60 minutes of normal video; "
        "1 a day needs 72 hours"
    )


@pytest.mark.slow
def test_recalibrate_records_the_promise(tiny_bundle: Path, tmp_path: Path):
    """A recording of 12 minutes gives a promise in summary and manifest, and a wanted number another threshold."""
    folder = tmp_path / "recorded"
    folder.mkdir()
    for number in range(720):
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(START + number))
        cv2.imwrite(str(folder / f"{stamp}.000Z-{number + 1:06d}.png"), normal_picture(number))
    arguments = ("recalibrate", tiny_bundle, "--images", folder, "--max-images", "100", "--threads", "1", "--force")
    done = call_export(*arguments, "--out", tmp_path / "counted.bundle")
    counted = bundles.read(tmp_path / "counted.bundle").manifest
    assert counted.alerts_promise is not None
    assert counted.alerts_promise.hours == pytest.approx(0.2)
    assert f"{counted.alerts_promise.alerts} counted in 12 minutes of normal video" in done.out
    done = call_export(*arguments, "--out", tmp_path / "wanted.bundle", "--alerts-per-day", "24")
    assert "an extrapolation beyond the video" in done.out
    wanted = bundles.read(tmp_path / "wanted.bundle").manifest
    assert wanted.alerts_promise is not None
    assert wanted.alerts_promise.wanted == 24
    assert wanted.calibration.threshold > counted.calibration.threshold
    assert wanted.calibration.promised_alpha <= counted.calibration.promised_alpha


@pytest.mark.slow
def test_fit_says_what_a_short_video_does_not_promise(tmp_path: Path):
    """A fit of a video of 12 seconds ends well, says that it promises nothing a day, and cannot choose for a number."""
    words = small_options(tmp_path, tmp_path / "a.bundle")
    video = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 1.0, (WIDTH, HEIGHT))
    for file in sorted((tmp_path / "images").iterdir()):
        video.write(cv2.imread(str(file)))
    video.release()
    words[1] = str(tmp_path / "clip.avi")
    done = call_export("fit", *words)
    assert done.code == 0
    assert "alerts        the recording is 12 s long (3 s of it held out): no promise a day" in done.out
    assert bundles.read(tmp_path / "a.bundle").manifest.alerts_promise is None
    refused = call_export("fit", *words, "--alerts-per-day", "1", "--force")
    assert refused.code == 2
    assert "--alerts-per-day: the recording is 12 s long" in refused.err
