"""patchedge learn: from a camera or normal pictures to a bundle, without torch."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from edge_config.errors import SourceUnavailable, UsageError
from edge_config.redact import redact
from runtime.cli.arguments import between, whole
from runtime.cli.learn_arguments import add_learning, add_pictures, declaring
from runtime.cli.record import record

NAME = "learn"
HELP = "learn from a camera or normal pictures, and write a bundle; needs no torch"

COUNT, EVERY_S, TIMEOUT_S = 400, 1.0, 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; those without a default here are the fields of `LearnOptions`."""
    from runtime.learning.options import LearnOptions, defaults

    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="these options in YAML or TOML; arguments override it"
    )
    parser.add_argument(
        "--source",
        metavar="SOURCE",
        help="record the pictures from this camera first, as `record` does: into --images, where they stay, or into a "
        "temporary folder",
    )
    parser.add_argument("--count", type=whole(1, 10**7), default=COUNT, metavar="N", help="pictures from --source")
    parser.add_argument(
        "--every", type=between(0, 1e6), default=EVERY_S, metavar="S", help="interval between them, seconds"
    )
    parser.add_argument("--transport", choices=("tcp", "udp"), default="tcp", help="transport of an RTSP camera")
    parser.add_argument(
        "--timeout", type=between(0, 3600), default=TIMEOUT_S, metavar="S", help="time-out of the first, seconds"
    )
    parser.add_argument(
        "--network", type=Path, metavar="NAME.network", help="network file (default: that of this package)"
    )
    parser.add_argument(
        "--trust", metavar="KEY", action="append", default=[], help="take a network file only if this key signed it"
    )
    option = declaring(parser, defaults(LearnOptions))
    add_pictures(option)
    add_learning(option)
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Record if asked to, learn, and print the summary."""
    from runtime.learning.options import LearnOptions

    given = {name: value for name, value in vars(args).items() if name in LearnOptions.__struct_fields__}
    if args.source is None or "images" in given:
        return _learn(args, given)
    with tempfile.TemporaryDirectory(prefix="patchedge-") as folder:
        return _learn(args, given | {"images": folder})


def _learn(args: argparse.Namespace, given: dict[str, Any]) -> int:
    from edge_config.bundle.staging import refuse_target
    from edge_config.settings.sections import Trust
    from runtime.learning.network_file import DEFAULT, FromFile
    from runtime.learning.options import LearnOptions, read_options
    from runtime.process.threads import limit_threads
    from runtime.security.trust import Judge

    options = read_options(given, args.config, LearnOptions)
    refuse_target(Path(options.out), force=options.force)  # before anything is recorded
    threads = limit_threads(options.threads)
    judge = Judge(Trust(keys=tuple(args.trust))) if args.trust else None
    network = FromFile(args.network or DEFAULT, threads, judge)
    if args.source is not None:
        folder, camera = Path(options.images), (args.source, args.transport, args.timeout)
        if folder.is_dir() and any(folder.iterdir()):
            remedy = "learn from it without --source, or name another folder"
            raise UsageError("holds files already", where=str(folder), remedy=remedy)
        found = record(folder, *camera, count=args.count, every_s=args.every)
        if not found.done:
            raise KeyboardInterrupt
        if not found.recorded.pictures:
            raise SourceUnavailable("gave no picture", where=redact(args.source))

    from runtime.learning import summary
    from runtime.learning.learn import learn_to_target

    report = learn_to_target(options, network, threads)
    if args.json:
        import msgspec

        print(msgspec.json.encode(report).decode())
    else:
        lines = {**summary.lines(report, Path(options.out)), "time": summary.in_seconds(report)}
        print(summary.as_text([*lines.items(), *summary.notes(report)]))
    return 0
