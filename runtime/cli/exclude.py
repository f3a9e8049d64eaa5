"""The argument --exclude of `fit` and `recalibrate`."""

from __future__ import annotations

import argparse

from runtime.cli.arguments import whole

HELP = "leave out the N strangest pictures; auto: those that are far above all others. They are named"


def number_or_auto(text: str) -> int | str:
    """Parse `auto`, or a whole number from 1."""
    if text == "auto":
        return text
    try:
        return whole(1, 1_000_000)(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{error}, nor auto") from error
