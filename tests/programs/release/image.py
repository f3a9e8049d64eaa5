"""Build the image for arm64 into a file. Usage: python -m tests.programs.release.image --version 0.2.0 FILE.

Needs root, buildah and emulation, as `make arm64` does, and the wheelhouse of aarch64; it uses the same base and store.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

from tests.programs.arm64 import root
from tests.programs.arm64.containers import Containers
from tests.programs.wheels import roots

WORK = Path("build/arm64")


def main() -> int:
    """Build and save it; 69 where this machine cannot, 1 where the build failed."""
    parser = argparse.ArgumentParser(description="Build the image for arm64 into a file.")
    parser.add_argument("--version", required=True)
    parser.add_argument("--revision", default="unknown", help="id of the commit")
    parser.add_argument("file", type=Path)
    args = parser.parse_args()
    name = f"localhost/patchedge:{args.version}"
    WORK.mkdir(parents=True, exist_ok=True)
    try:
        prepare()
        containers = Containers(WORK)
        roots.make_base(WORK, containers)
        labels = {"VERSION": args.version, "REVISION": args.revision}
        containers.build("Dockerfile.arm64", "generic", name, {"BASE": root.BASE, **labels})
        containers.save(name, args.file)
    except root.Unable as error:
        print(f"image: {error}; to release without it: RELEASE_OPTIONS='--skip image'", file=sys.stderr)
        return 69
    except (subprocess.CalledProcessError, RuntimeError) as error:
        print(f"image: {error}", file=sys.stderr)
        return 1
    return 0


def prepare() -> None:
    """Look for what a build for another processor needs.

    Raises:
        Unable: something is missing.
    """
    if os.geteuid():
        raise root.Unable("only root can build for another processor here")
    root.prepare()


if __name__ == "__main__":
    sys.exit(main())
