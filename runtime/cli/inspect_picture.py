"""patchedge inspect: have a running device judge a picture."""

from __future__ import annotations

import argparse
from pathlib import Path

from runtime.cli.control_arguments import add_control, device_of, print_json

NAME = "inspect"
HELP = "have a running device judge a picture, by the bundle of a camera"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("camera", metavar="CAMERA", help="name of the camera whose bundle judges")
    parser.add_argument("picture", type=Path, metavar="PICTURE", help="picture file, as the camera sees things")
    add_control(parser)


def run(args: argparse.Namespace) -> int:
    """Send the picture, and print the verdict."""
    from runtime.camera.image_files import read_picture

    image = read_picture(args.picture)
    height, width = image.shape[:2]
    with device_of(args) as device:
        verdict, _ = device.inspect(args.camera, image.data, height, width)
    if args.json:
        print_json(verdict)
        return 0
    x, y = verdict.peak_xy
    print(f"{verdict.label}: score {verdict.score:.3f} of {verdict.threshold:.3f}, highest at {x},{y}")
    for left, top, box_width, box_height in verdict.boxes:
        print(f"    {box_width} x {box_height} pixels at {left},{top}")
    return 0
