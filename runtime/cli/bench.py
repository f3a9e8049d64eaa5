"""patchedge bench: measure what a frame costs on this machine, beside the bare network."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.cli.arguments import whole

if TYPE_CHECKING:
    from runtime.inference.providers.choice import TriedProvider
    from runtime.tools.bench_figures import Bench
    from runtime.tools.bench_providers import ProvidersBench

NAME = "bench"
HELP = "measure every stage of a frame on this machine, beside the bare network"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("bundle", type=Path, metavar="DIR", help="the bundle")
    parser.add_argument("--source", required=True, metavar="S", help="as for `run`: camera, URL, video file, folder")
    parser.add_argument("--frames", type=whole(10, 10**6), default=300, metavar="N", help="maximum number of frames")
    parser.add_argument(
        "--threads", type=whole(0, 1024), default=0, metavar="N", help="limit of all threads; 0: all cores"
    )
    parser.add_argument(
        "--search",
        choices=("lazy", "graph", "exact"),
        default="lazy",
        help="how far patches are searched (cold start and memory: always lazy)",
    )
    parser.add_argument(
        "--providers",
        action="store_true",
        help="instead: each provider of ONNX Runtime that starts, by turns on the same frames",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Measure, and print the figures."""
    what = args.bundle, args.source
    found: Bench | ProvidersBench
    if args.providers:
        from runtime.tools.bench_providers import bench_providers

        found = bench_providers(*what, threads=args.threads, frames=args.frames)
        lines = [
            *providers_table(found.providers),
            f"threads {found.threads}, {found.machine}, ONNX Runtime {found.onnxruntime}",
        ]
    else:
        from runtime.tools.bench import bench

        found = bench(*what, threads=args.threads, frames=args.frames, search=args.search)
        lines = _lines(found)
    if args.json:
        import msgspec

        print(msgspec.json.encode(found).decode())
    else:
        print("\n".join(lines))
    return 0


def providers_table(tried: Sequence[TriedProvider]) -> list[str]:
    """Return a line for each provider: its times, what they are of the CPU's, and its golden frames."""
    cpu = next((one.frame_ms for one in tried if one.provider == "CPUExecutionProvider"), None)
    lines = [f"{'medians, ms':<28}{'network':>9}{'frame':>9}{'of CPU':>8}{'golden':>10}"]
    for one in tried:
        if one.frame_ms is None:
            lines.append(f"{one.provider:<28}passed over: {one.why}")
        else:
            share = f"{one.frame_ms / cpu:.2f}" if cpu else "-"
            lines.append(f"{one.provider:<28}{one.graph_ms:9.2f}{one.frame_ms:9.2f}{share:>8}{one.scores:10.1e}")
    return lines


def _lines(found: Bench) -> list[str]:
    """Return the table for people."""
    lines = [f"{'milliseconds':<14}{'p50':>9}{'p95':>9}{'p99':>9}"]
    lines += [f"{name:<14}{row.p50:9.2f}{row.p95:9.2f}{row.p99:9.2f}" for name, row in found.stages.items()]
    peak = "unknown" if found.peak_rss_mb is None else f"{found.peak_rss_mb:.0f} MB"
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    return [
        *lines,
        "frame: inspect to publish. Not part of it: decode; network, the graph without its aggregation;",
        "whole_search, every patch through the index; map, what an alert adds.",
        f"frame / network        {_by_network(found)}",
        f"frame / whole search   {found.ratio_to_whole_search:.2f}",
        f"patches searched       {found.searched_share_p50:.1%} at the median, {found.searched_share_p95:.1%} at p95",
        f"peak memory            {peak}",
        f"cold start             {found.cold_start_s:.2f} s to the first score",
        f"measured               {found.frames} frames, bank of {found.entries}, search {found.search}",
        f"threads                {found.threads}",
        f"on                     {found.machine}, {versions}",
    ]


def _by_network(found: Bench) -> str:
    if found.ratio_to_network is None:
        return "not measured: the bundle has no network.onnx"
    return f"{found.ratio_to_network:.2f}   with decoding {found.ratio_with_decode:.2f}"
