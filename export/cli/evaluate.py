"""patchedge-export evaluate: how good is a bundle on pictures whose truth is known."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from edge_config.errors import NotWritten, TargetExists, UsageError
from edge_config.saving import put_all, writing
from runtime.cli.arguments import whole

NAME = "evaluate"
HELP = "score pictures whose truth is known, and write the figures and a page to look at"

FIGURES, PAGE = "evaluation.json", "evaluation.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the bundle")
    parser.add_argument(
        "--dataset",
        type=Path,
        required=True,
        metavar="PATH",
        help="folder with test/good, test/KIND and ground_truth/KIND, or a CSV list with the columns frame and label",
    )
    parser.add_argument("--frames", type=Path, metavar="PATH", help="for a list: folder of its frames, or their video")
    parser.add_argument("--masks", type=Path, metavar="DIR", help="for a list: folder of its masks")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"where {FIGURES} and {PAGE} are written, or replaced (default: NAME-evaluation)",
    )
    parser.add_argument(
        "--threads", type=whole(0, 1024), default=0, metavar="N", help="limit of all threads; 0: all cores"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Evaluate, write the two files, and print the figures."""
    out = args.out or Path(f"{Path(os.path.abspath(args.bundle)).name.removesuffix('.bundle')}-evaluation")  # noqa: PTH100 - "." has no name
    _refuse_target(out)

    import msgspec

    from edge_config.extra import look_for
    from export.evaluation.dataset import open_dataset
    from export.evaluation.evaluate import evaluate
    from export.evaluation.page import as_html, in_words
    from runtime.inference.load import load
    from runtime.process.threads import limit_threads

    look_for("matplotlib", "scipy", "sklearn")

    dataset = open_dataset(args.dataset, frames=args.frames, masks=args.masks)
    bundle, scorer = load(args.bundle, limit_threads(args.threads))
    outcome = evaluate(bundle, scorer, dataset)
    figures = msgspec.to_builtins(outcome.evaluation)
    whole_file = msgspec.json.format(msgspec.json.encode({**figures, "samples": outcome.results}), indent=2)
    _write(out, {FIGURES: whole_file + b"\n", PAGE: as_html(outcome).encode()})
    if args.json:
        print(msgspec.json.encode(figures).decode())
    else:
        rows = [*in_words(outcome.evaluation), ("written", str(out / FIGURES)), ("", str(out / PAGE))]
        width = max(len(name) for name, _ in rows)
        print("\n".join(f"{name:<{width}}  {text}" for name, text in rows))
    return 0


def _refuse_target(out: Path) -> None:
    """Fail before the work where writing would fail after it."""
    if os.path.lexists(out) and not os.path.isdir(out):
        raise TargetExists("is not a folder", where=str(out), remedy="choose another name with --out")
    folder = out if os.path.isdir(out) else out.absolute().parent
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError("no folder that can be written", where=str(folder), remedy="create it first")


def _write(out: Path, files: dict[str, bytes]) -> None:
    """Write files beside their targets, and put them in place only once all are whole."""
    made = not out.exists()
    with writing(out):
        out.mkdir(exist_ok=True)
    try:
        put_all({out / name: content for name, content in files.items()})
    except NotWritten:
        if made:
            out.rmdir()
        raise
