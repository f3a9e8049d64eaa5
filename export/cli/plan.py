"""`patchedge-export fit --plan`: the cameras of a plan in place of one."""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack
from functools import partial

import msgspec

from edge_config.errors import UsageError
from export.options import ALONE, Device, Options
from export.plan.settings import OF_THE_COMMAND, read_plan

HELP = "learn the cameras of this file, those whose bundle is there of the same inputs not again; YAML or TOML"


def run(args: argparse.Namespace) -> int:
    """Learn the cameras of a plan, and print what became of each."""
    given = {name for name in vars(args) if name in Options.__struct_fields__ and name not in OF_THE_COMMAND}
    if args.config:
        given.add("config")
    if given:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(given))
        raise UsageError(f"{flags}: not with --plan", remedy="write it into the plan: under `defaults`, or at a camera")
    threads: int = getattr(args, "threads", 0)
    device: Device = getattr(args, "device", "cpu")
    plan = read_plan(args.plan, threads=threads, device=device)
    if not os.access(plan.page.parent, os.W_OK):
        raise UsageError("not a writable folder", where=str(plan.page.parent), remedy="create it, or set `page`")

    from export.cluster.connect import ClusterOptions, cluster_of
    from export.fit import fit  # torch takes seconds to import
    from export.gpu.start import here_on
    from export.plan.run import run_plan
    from export.plan.summary import as_text

    of_cluster = ClusterOptions.__dataclass_fields__.keys() & vars(args).keys()
    asked = ClusterOptions(**{name: getattr(args, name) for name in of_cluster})
    if asked.spread and device != "cpu":
        raise UsageError(ALONE)
    here = here_on(device, threads)
    with ExitStack() as stack:
        cluster = stack.enter_context(cluster_of(asked)) if asked.spread else None
        outcomes = run_plan(plan, partial(fit, cluster=cluster, here=here))
    print(msgspec.json.encode(outcomes).decode() if args.json else as_text(outcomes))
    return outcomes.exit_code
