"""patchedge-export network: make a network file, to learn with where torch is not."""

from __future__ import annotations

import argparse
from pathlib import Path

from export.cli.fit import add_network
from export.options import DEFAULTS, Options
from runtime.cli.arguments import whole
from runtime.cli.learn_arguments import declaring
from runtime.learning.options import read_options

NAME = "network"
HELP = "make a network file, with which `patchedge learn` learns where torch is not"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; their names are fields of `export.options.Options`."""
    parser.add_argument("--out", required=True, help="where to write it", metavar="NAME.network")
    option = declaring(parser, DEFAULTS)
    add_network(option)
    option("--threads", "limit of all threads; 0: all cores", type=whole(0, 1024), metavar="N")
    option("--force", "replace a network file that is there, once the new one is whole", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Make it, and print what it is."""
    from edge_config.bundle.staging import refuse_target

    given = {name: value for name, value in vars(args).items() if name in Options.__struct_fields__}
    options = read_options({"images": "-", **given}, None, Options)
    refuse_target(Path(options.out), force=options.force)  # before torch is loaded

    from export.network.write_network import write_network

    made = write_network(options)
    parity, features = made.record.parity, made.record.features
    rows, columns = features.grid_hw
    print(f"{options.out}: {features.backbone}, {' + '.join(features.layers)}, id {made.id[:12]}")
    print(
        f"{rows} x {columns} patches of {features.dimension}; features within {parity.features.largest:.1e} of "
        f"{parity.reference} on {parity.pictures} pictures"
    )
    return 0
