"""Arguments that `patchedge learn` and `patchedge-export fit` share; their names are those of `LearnOptions`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from runtime.cli import exclude
from runtime.cli.arguments import between, polygon, share, share_or_count, whole
from runtime.cli.may_vary import may_vary

REGIONS = "learn and judge only patches inside of this polygon, pixels of the pictures; repeat it for several"
IGNORE = "neither learn nor judge patches inside of this polygon, such as a clock; repeat it for several"

ALERTS_PER_DAY = (
    "choose threshold and least duration of an alert for N false alerts a day; needs a video, or a folder of `record`"
)

Declare = Callable[..., None]
"""Declares an option, whose default is shown and left to the settings file."""


def declaring(parser: argparse.ArgumentParser, defaults: Mapping[str, Any]) -> Declare:
    """Return what declares an option of a parser: flag, help text, and what argparse takes."""

    def option(flag: str, text: str, **more: Any) -> None:
        default = defaults.get(flag.removeprefix("--").replace("-", "_"))
        shown = text if default in (None, False, ()) else f"{text} (default: {str(default).replace('%', '%%')})"
        parser.add_argument(flag, help=shown, default=argparse.SUPPRESS, **more)

    return option


def add_pictures(option: Declare, images: str = "folder of normal pictures, or a video") -> None:
    """Declare what is learnt from, which `images` describes, and where it goes."""
    option("--images", images, metavar="PATH")
    option("--out", "where to write the bundle", metavar="NAME.bundle")
    option("--force", "replace a bundle that is there, once the new one is whole", action="store_true")
    option("--max-images", "take N pictures, spread evenly", type=whole(1, 10**9), metavar="N")
    option("--depth", "bits that pictures of 16 bits use, 8 to 16; auto: what they need", type=_depth, metavar="BITS")
    option("--skip-bad", "pass over pictures that cannot be read, and count them", action="store_true")
    option("--threads", "limit of all threads; 0: all cores", type=whole(0, 1024), metavar="N")


def add_learning(option: Declare) -> None:
    """Declare what is learnt, and how it is judged."""
    option(
        "--may-vary",
        "what is no fault: any of light=20%%, shift=4px, rotation=5 (degrees, or any), focus, flip; or none",
        type=may_vary,
        metavar="LIST",
    )
    option("--alpha", "wanted false-alarm rate", type=between(0, 1), metavar="RATE")
    option("--alerts-per-day", ALERTS_PER_DAY, type=between(0, 1e6), metavar="N")
    option("--hold-out", "share of the pictures kept for calibration", type=between(0, 1), metavar="SHARE")
    option("--exclude", exclude.HELP, type=exclude.number_or_auto, metavar="N|auto")
    option("--regions", REGIONS, type=polygon, action="append", metavar="X,Y,X,Y,X,Y")
    option("--ignore", IGNORE, type=polygon, action="append", metavar="X,Y,X,Y,X,Y")
    _add_measure(option)
    option("--projection-dim", "random projection to select in; 0: none", type=whole(0, 4096), metavar="D")
    option("--seed", "of the projection, the first entry and the synthetic faults", type=whole(0, 2**32 - 1))
    option("--score", "re-weighted, largest distance, or mean of the k largest", choices=("paper", "max", "topk"))
    option("--b", "neighbours in the re-weighting", type=whole(2, 16))
    option("--k", "distances in the mean of `topk`", type=whole(1, 1000))


def _add_measure(option: Declare) -> None:
    """Declare what distances are measured in, and the bank that they are to."""
    option("--scaling", "of the features, by how much each channel varies", choices=("none", "channel"))
    option(
        "--centring",
        "share of a picture's mean feature that is taken off its patches: light of all of it counts less",
        type=share,
        metavar="SHARE",
    )
    option(
        "--position-means",
        "share of each position's mean feature that is taken off there; auto: the more, the stiller the scene",
        type=_share_or_auto,
        metavar="SHARE",
    )
    option(
        "--coreset",
        "share of the patches to keep, or from 2 on their number; auto: until more hardly changes the scores",
        type=_coreset,
        metavar="K",
    )
    option("--spacing", "what divides distances: how far apart the bank is there", choices=("none", "local"))


def _depth(text: str) -> int | str:
    """Parse `auto`, or a whole number from 8 to 16."""
    if text == "auto":
        return text
    try:
        return whole(8, 16)(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, nor auto") from error


def _share_or_auto(text: str) -> float | str:
    """Parse `auto`, or a share from 0 to 1."""
    return text if text == "auto" else share(text)


def _coreset(text: str) -> float | int | str:
    """Parse `auto`, a share between 0 and 1, or a whole number from 2."""
    return text if text == "auto" else share_or_count(text)
