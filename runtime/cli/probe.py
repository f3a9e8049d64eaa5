"""patchedge probe: open a camera, a URL or a recording as the runtime would, and report what it delivers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.cli import overlay
from runtime.cli.arguments import between
from runtime.process.progress import GAUGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_config.settings.sections import Camera
    from runtime.frame import Image
    from runtime.tools.probe import Durations, ProbeReport

NAME = "probe"
HELP = "open a camera or URL as the runtime would: sizes, rate, latency, jitter, a frame"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "source", metavar="SOURCE", nargs="?", help="as for `run`: camera index, /dev/videoN, URL, csi://0, gst:..."
    )
    parser.add_argument("--config", metavar="FILE", help="settings, YAML or TOML, instead of a source")
    parser.add_argument("--camera", metavar="NAME", help="which camera of the settings")
    parser.add_argument("--seconds", type=between(0, 3600), default=5.0, metavar="S", help="duration, seconds")
    parser.add_argument(
        "--transport", choices=("tcp", "udp"), help="transport of an RTSP camera (default: as set, or tcp)"
    )
    parser.add_argument(
        "--timeout", type=between(0, 3600), default=10.0, metavar="S", help="time-out of the first picture, seconds"
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the last picture, as .png or .jpg")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Print the measurements; a source that does not open in time is one line and exit code 69."""
    import msgspec

    from edge_config.errors import UsageError
    from runtime.camera.image_files import is_picture
    from runtime.process.log import set_up_logging
    from runtime.tools.probe import Probe

    if args.save is not None and not is_picture(args.save):
        raise UsageError("not the name of a picture", where=str(args.save), remedy="name it .png or .jpg")
    set_up_logging()
    camera, bundle = _camera(args)
    probe = Probe(camera)
    with GAUGE.stage(f"look at the source for {args.seconds:g} s, once its first picture is there"):
        report = probe.run(args.seconds, args.timeout)
    image, legend = probe.image, tuple[str, ...]()
    if image is not None and args.save is not None and args.config is not None:
        image, legend = _outlined(image, camera, bundle)
    saved = _save(image, args.save)
    if args.json:
        print(msgspec.json.encode({**msgspec.to_builtins(report), "saved": saved, "legend": legend}).decode())
    else:
        print(f"{report.source}: first picture after {report.opened_s:.2f} s")
        for name, text in _lines(report, saved, legend):
            print(f"  {name:<9} {text}")
    return 0


def _camera(args: argparse.Namespace) -> tuple[Camera, str]:
    """Return the settings of the camera, and the path of its bundle.

    Raises:
        UsageError: there is not one camera that is meant.
        SettingsError: the settings are wrong.
    """
    from edge_config.errors import UsageError
    from edge_config.settings.parse import parse
    from edge_config.settings.reading import read_file

    if (args.source is None) == (args.config is None) or (args.camera and not args.config):
        raise UsageError("one source is needed", remedy="give SOURCE, or --config FILE and maybe --camera NAME")
    tree = read_file(args.config) if args.config else overlay.of_one_camera("probe", source=args.source)
    where = args.config or overlay.COMMAND_LINE
    name = overlay.which_camera(parse(tree, where=where).cameras, args.camera)
    found = parse(overlay.lay_over(tree, {("cameras", name, "transport"): args.transport}), where=where)
    return found.cameras[name], found.cameras[name].bundle or found.bundle


def _outlined(image: Image, camera: Camera, bundle: str) -> tuple[Image, tuple[str, ...]]:
    """Draw the settings into a camera's picture, and return it with its legend."""
    from edge_config.bundle import files as bundles
    from edge_config.errors import BundleError
    from runtime.tools.settings_picture import NOWHERE, Learnt, outline

    unknown: list[str] = []
    seen, learnt = None, NOWHERE
    try:
        found = bundles.read(Path(bundle)).manifest
        seen, learnt = found.preprocessing, Learnt(found.regions, found.ignore, found.regions_hw)
    except BundleError as error:
        unknown.append(f"what the bundle sees is not drawn: {error}")
    outlined, legend = outline(image, camera, seen, learnt)
    return outlined, (*legend, *unknown)


def _save(image: Image | None, path: Path | None) -> str | None:
    """Write a picture; give where it is, None if there is none.

    Raises:
        NotWritten: the disk does not take it.
    """
    if image is None or path is None:
        return None
    import cv2

    from edge_config.saving import put

    put(path, cv2.imencode(path.suffix, image)[1].tobytes())
    return str(path)


def _lines(report: ProbeReport, saved: str | None, legend: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    said = report.declared
    sizes = ", ".join(f"{width} x {height}" for width, height in report.sizes) or "no picture could be decoded"
    yield "pictures", f"{sizes} pixels"
    if said.backend:
        rate = f"{said.fps:g} a second" if said.fps else "no rate"
        size = f"{said.size[0]} x {said.size[1]} pixels" if all(said.size) else "no size"
        yield "declared", f"{said.format or 'no format'}, {size}, {rate}; opened by {said.backend}"
    for line in said.formats:
        yield "offers", line
    dropped = ", ".join(f"{number} {why}" for why, number in report.dropped.items()) or "none"
    rate = "no rate" if report.fps is None else f"{report.fps:.1f} a second"
    lost = f"dropped {dropped}, undecodable {report.undecodable or 'none'}"
    yield "measured", f"{rate}: {report.pictures} in {report.seconds:.1f} s; {lost}"
    if report.burst:
        yield "burst", f"{report.burst} came at once at the start, and do not count for the rate and the intervals"
    if report.paced:
        yield "paced", "it comes in bursts: frames are taken up evenly, by its own time stamps"
    yield "interval", _spread(report.interval_ms)
    yield "jitter", f"{_spread(report.jitter_ms)}, around the median interval"
    yield "latency", f"{_spread(report.latency_ms)}, from grab to arrival; camera and network come before that"
    for line in report.interruptions:
        yield "lost", line
    if saved is not None:
        yield "saved", saved
    for line in legend:
        yield "legend", line


def _spread(spread: Durations | None) -> str:
    if spread is None:
        return "too few pictures"
    return f"p50 {spread.p50:.1f}, p95 {spread.p95:.1f}, max {spread.max:.1f} ms"
