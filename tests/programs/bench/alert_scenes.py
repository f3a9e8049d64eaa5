"""Hours of normal video, made from real pictures: slow light, shadows, noise and re-encoding, all by a seed.

Two scenes: the belt of the demo, and real empty frames of a fixed camera. Scores are computed once and stored.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from export.demo.clip import film, make_belt
from runtime.frame import Image
from runtime.inference.load import load
from runtime.learning.pictures.images import evenly
from runtime.process.threads import limit_threads
from runtime.scoring.scorer import Scorer
from tests.programs.bench.published import fit

FPS = 5
PIECES, PIECE_S = 24, 150
FRAMES = PIECES * PIECE_S * FPS
"""An hour, in pieces between which the seed of noise and belt changes, but not the light."""

LEARNT = 300
"""Pictures of another hour that the bank is learnt from."""

OPTIONS = ()
"""Options of `fit`: the defaults."""

EMPTY = {"learn": range(1, 401), "judge": range(401, 579)}
"""Empty frames of the office that the two hours are made of."""

_BELT_STEP = 25  # pixels from frame to frame: the demo's belt, at 5 frames a second
_LIGHT, _LIGHT_S = 0.06, 240.0  # standard deviation of the gain, and seconds in which it changes
_SHADOWS_AN_HOUR, _SHADOW_S, _SHADOW_DEPTH = 24, 4.0, (0.05, 0.25)
_NOISE = (1.0, 4.0)  # grey levels
_QUALITY, _BAD_QUALITY, _BAD_AN_HOUR = (75, 96), (30, 60), 40  # of JPEG; single frames lose more


@dataclass(frozen=True, slots=True)
class Shadow:
    """A dark band with soft edges that crosses the picture.

    Attributes:
        start_s, length_s: when, seconds.
        depth: share of the light that it takes away.
        width: of the band, relative to the picture's.
        direction: 1 from left to right, -1 from right to left.
    """

    start_s: float
    length_s: float
    depth: float
    width: float
    direction: int


class Conditions:
    """What light, encoder and sensor do to the pictures of an hour."""

    def __init__(self, seed: int) -> None:
        """Draw everything that is the same for all scenes with this seed."""
        random = np.random.default_rng(seed)
        self._light = 1 + _LIGHT * _drift(random, _LIGHT_S)
        noise = (_drift(random, _LIGHT_S) / 4 + 0.5).clip(0, 1)
        self._noise = _NOISE[0] + (_NOISE[1] - _NOISE[0]) * noise
        self._quality = random.integers(*_QUALITY, PIECES * PIECE_S // 60 + 1)  # changes every minute
        self._bad = {int(at): int(random.integers(*_BAD_QUALITY)) for at in random.integers(0, FRAMES, _BAD_AN_HOUR)}
        self._shadows = [
            Shadow(
                start_s=float(at),
                length_s=float(max(1.0, random.exponential(_SHADOW_S))),
                depth=float(random.uniform(*_SHADOW_DEPTH)),
                width=float(random.uniform(0.1, 0.5)),
                direction=int(random.choice([-1, 1])),
            )
            for at in np.sort(random.uniform(0, PIECES * PIECE_S, random.poisson(_SHADOWS_AN_HOUR)))
        ]

    def __call__(self, image: Image, number: int, random: np.random.Generator) -> Image:
        """Return frame `number` of the hour as this camera gives it."""
        at_s = number / FPS
        seconds = np.arange(len(self._light))
        light = np.interp(at_s, seconds, self._light) * self._shade(at_s, image.shape[1])
        noise = np.float32(np.interp(at_s, seconds, self._noise))
        seen = image * light.astype(np.float32)[None, :, None] + noise * random.standard_normal(image.shape, np.float32)
        quality = self._bad.get(number, int(self._quality[int(at_s) // 60]))
        jpeg = cv2.imencode(".jpg", seen.clip(0, 255).round().astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), dtype=np.uint8)

    def _shade(self, at_s: float, width: int) -> NDArray[np.float64]:
        """Return the share of the light that is left in each column, float64 [width]."""
        columns, left = np.arange(width) / width, np.ones(width)
        for shadow in self._shadows:
            way = (at_s - shadow.start_s) / shadow.length_s
            if 0 <= way <= 1:
                way = way if shadow.direction > 0 else 1 - way
                centre = way * (1 + 2 * shadow.width) - shadow.width
                left *= 1 - shadow.depth * np.exp(-(((columns - centre) / shadow.width) ** 4))
        return left


def _drift(random: np.random.Generator, slow_s: float) -> NDArray[np.float64]:
    """Return a random walk that is drawn back to 0, with deviation 1: a value for each second of the hour."""
    keep = np.exp(-1 / slow_s)
    steps = random.normal(0, np.sqrt(1 - keep**2), PIECES * PIECE_S + 1)
    walk = np.empty_like(steps)
    walk[0] = random.normal()
    for at in range(1, len(steps)):
        walk[at] = keep * walk[at - 1] + steps[at]
    return walk


def frames(scene: str, data: Path, seed: int, *, hour: str, wanted: list[int]) -> Iterator[Image]:
    """Yield these frames of an hour of a scene, by their number, in ascending order."""
    conditions = Conditions(seed)
    numbers = set(wanted)
    for number, image in _belt(numbers, seed) if scene == "belt" else _office(numbers, seed, data, EMPTY[hour]):
        yield conditions(image, number, np.random.default_rng((seed, number)))


def _belt(numbers: set[int], seed: int) -> Iterator[tuple[int, Image]]:
    """Film a belt of its own for each piece of the hour; it stands still between the frames that are wanted."""
    for piece in range(PIECES):
        random = np.random.default_rng((seed, piece))
        wanted = [number for number in range(piece * PIECE_S * FPS, (piece + 1) * PIECE_S * FPS) if number in numbers]
        if not wanted:
            continue
        belt = make_belt(len(wanted) * _BELT_STEP, random)
        yield from zip(wanted, film(belt, len(wanted), _BELT_STEP, random), strict=True)


def _office(numbers: set[int], seed: int, data: Path, empty: range) -> Iterator[tuple[int, Image]]:
    """Walk to and fro through real frames, which were taken one after the other."""
    files = [data / "office" / "frames" / f"{number:06d}.jpg" for number in empty]
    images = [np.asarray(cv2.imread(str(file)), dtype=np.uint8) for file in files]
    random = np.random.default_rng(seed)
    at = 0
    for number in range(FRAMES):
        if number in numbers:
            yield number, images[at]
        at = int(np.clip(at + random.choice([-1, 1]), 0, len(images) - 1))


def scores(scene: str, data: Path, work: Path, seed: int) -> NDArray[np.float64]:
    """Return the score of every frame of the hour, float64 [frames].

    Pieces that were scored before are read from their files, so that an interrupted run goes on.
    """
    return np.concatenate([_piece(scene, data, work, seed, piece) for piece in range(PIECES)])


def _piece(scene: str, data: Path, work: Path, seed: int, piece: int) -> NDArray[np.float64]:
    """Return the score of every frame of one piece, float64 [frames]."""
    stored = work / f"{scene}-{seed}-{piece:02d}.npy"
    if not stored.exists():
        started = time.perf_counter()
        scorer = _scorer(scene, data, work, seed)
        wanted = list(range(piece * PIECE_S * FPS, (piece + 1) * PIECE_S * FPS))
        film = frames(scene, data, seed, hour="judge", wanted=wanted)
        found = [scorer(image).value for image in film]
        np.save(stored, np.array(found))
        print(f"{stored.name}: {len(found)} frames, {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return np.asarray(np.load(stored), dtype=np.float64)


@cache
def _scorer(scene: str, data: Path, work: Path, seed: int) -> Scorer:
    """Learn the scene from another hour."""
    pictures, bundle = work / f"{scene}-pictures", work / f"{scene}.bundle"
    if not bundle.exists():
        pictures.mkdir(parents=True, exist_ok=True)
        wanted = evenly(FRAMES, LEARNT)
        learnt = frames(scene, data, seed + 1000, hour="learn", wanted=wanted)
        for number, image in zip(wanted, learnt, strict=True):
            cv2.imwrite(str(pictures / f"{number:06d}.png"), image)
        fit(pictures, bundle, *OPTIONS)
    return load(bundle, limit_threads(0))[1]
