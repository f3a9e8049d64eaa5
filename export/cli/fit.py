"""patchedge-export fit: from normal pictures to a bundle."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from export.cli import plan
from export.options import DEFAULTS, Options
from runtime.cli.arguments import odd, triple, whole
from runtime.cli.learn_arguments import Declare, add_learning, add_pictures, declaring
from runtime.learning.options import read_options

TEST_SET = (
    "pictures with truth, a folder or a CSV list: the report says what is found of them, and what int8 or bf16 costs"
)

IMAGES = (
    "folder of normal pictures, a video, an address (s3://, http://, sftp://), or a list with hashes (.csv, .jsonl)"
)

NAME = "fit"
HELP = "learn from normal pictures and write a bundle"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; their names are the fields of `export.options.Options`."""
    parser.add_argument("--plan", type=Path, metavar="FILE", help=plan.HELP)
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="these options in YAML or TOML; arguments override it"
    )

    option = declaring(parser, DEFAULTS)
    add_pictures(option, IMAGES)
    add_network(option)
    option(
        "--tiles",
        "judge overlapping tiles, each as large as the network's input, in place of the whole picture scaled down; "
        "auto: as --smallest-fault needs (default: one)",
        type=_tiles,
        metavar="ROWSxCOLS",
    )
    option(
        "--smallest-fault",
        "shorter side of the smallest fault that is to be found, in pixels of the camera; chooses the tiles",
        type=whole(1, 16384),
        metavar="PX",
    )
    option("--accept-crop", "even where that crop leaves much unseen", action="store_true")
    option(
        "--precision",
        "of the network; bf16 needs OpenVINO and a processor with bfloat16",
        choices=("float32", "int8", "bf16"),
    )
    add_learning(option)
    option(
        "--tolerance-cost",
        "measure what each tolerance costs: synthetic faults found with it and without it",
        action="store_true",
    )
    option("--test-set", TEST_SET, metavar="PATH")
    option("--no-report", "write no page, and try no synthetic faults for it", action="store_true")
    option(
        "--device",
        "what embeds the pictures and selects the bank; cuda: a GPU of NVIDIA",
        choices=("cpu", "cuda"),
    )
    add_cluster(option)
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def add_cluster(option: Declare) -> None:
    """Declare where the work on pictures is done."""
    option("--cluster", "address of a Dask scheduler whose workers do the work on pictures", metavar="URL")
    option(
        "--workers",
        "do the work on pictures in so many worker processes of this machine; they share --threads",
        type=whole(1, 1024),
        metavar="N",
    )
    option(
        "--mixed", "accept workers that compute differently: the id of the bundle may then differ", action="store_true"
    )
    option("--performance-report", "write Dask's report of the work on a cluster, a page", metavar="FILE")


def add_network(option: Declare) -> None:
    """Declare what the network is made of."""
    option("--backbone", "efficientnet-lite0, -lite1 or -lite2, the name of a timm network, or an ONNX file")
    option("--weights", "file with the weights of the network", metavar="FILE")
    option(
        "--layers", "layers to join, the finest first; for an ONNX file names of tensors", type=_names, metavar="A,B"
    )
    option(
        "--tokens-to-map",
        "of an ONNX file: layers [1, tokens, channels] become maps; N tokens come before those of the patches (without "
        "N: as many as the grid of patches leaves)",
        nargs="?",
        const="auto",
        type=_prefix,
        metavar="N",
    )
    option("--mean", "normalisation, RGB from 0 to 255 (default: the network's own)", type=triple, metavar="R,G,B")
    option("--std", "normalisation, RGB from 0 to 255 (default: the network's own)", type=triple, metavar="R,G,B")
    option("--size", "side of the network's input", type=whole(32, 2048), metavar="PX")
    option("--resize", "resize to this and crop the centre to --size", type=whole(32, 4096), metavar="PX")
    option("--aggregation", "how a neighbourhood becomes one feature", choices=("mean", "adaptive"))
    option("--patch-size", "side of a neighbourhood, odd", type=odd, metavar="P")
    option(
        "--stride",
        "keep every S-th row and column (default: 2 with the usual layers, else 1)",
        type=whole(1, 16),
        metavar="S",
    )
    option("--layer-dim", "of `adaptive`: length for each layer", type=whole(1, 8192), metavar="D")
    option("--target-dim", "of `adaptive`: length of a feature", type=whole(1, 8192), metavar="D")


def run(args: argparse.Namespace) -> int:
    """Fit, and print the summary."""
    if args.plan:
        return plan.run(args)
    from edge_config.bundle.staging import refuse_target
    from export.report.target import refuse_page

    given = {name: value for name, value in vars(args).items() if name in Options.__struct_fields__}
    options = read_options(given, args.config, Options)
    refuse_target(Path(options.out), force=options.force)  # before torch is loaded
    refuse_page(Path(options.out), unwanted=options.no_report, force=options.force)

    from export.fit import fit
    from export.report.summary import as_text

    report = fit(options)
    if args.json:
        import msgspec

        print(msgspec.json.encode(report).decode())
    else:
        print(as_text(report, Path(options.out)))
    return 0


def _prefix(text: str) -> int | str:
    """Parse nothing, or a whole number from 0 to 1024."""
    return text if text == "auto" else whole(0, 1024)(text)


def _tiles(text: str) -> str:
    """Parse `auto`, or rows and columns such as 3x4."""
    if not re.fullmatch(r"auto|[1-9][0-9]?x[1-9][0-9]?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is neither ROWSxCOLS, such as 3x4, nor auto")
    return text


def _names(text: str) -> list[str]:
    """Parse names with commas between them."""
    return [name.strip() for name in text.split(",") if name.strip()]
