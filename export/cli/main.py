"""Entry point of `patchedge-export`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from runtime.cli.interrupt import interrupted

try:
    from export.cli import demo, evaluate, fit, manifest, network, recalibrate, sign, signing_key
    from runtime.cli.app import Verbs, run_app
except KeyboardInterrupt:  # imports take a second, and several on a small device
    sys.exit(interrupted("patchedge-export"))

VERBS: Verbs = {
    "Learn": (fit, network, manifest, recalibrate),
    "Evaluate": (evaluate, demo),
    "Sign": (signing_key, sign),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `patchedge-export` and return its exit code."""
    description = "Learn from normal pictures and make a bundle."
    extra = "export" if find_spec("onnxruntime") else "cpu,export"  # there may be one of another provider
    return run_app("patchedge-export", description, extra, VERBS, argv)


if __name__ == "__main__":
    sys.exit(main())
