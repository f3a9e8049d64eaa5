"""Entry point of `patchedge`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from runtime.cli.interrupt import interrupted

try:
    from runtime.cli import (
        ask,
        bench,
        bridge,
        bundle,
        check,
        doctor,
        forget,
        keygen,
        probe,
        record,
        replay,
        run,
        schema,
        warm,
        watch,
    )
    from runtime.cli.app import run_app
except KeyboardInterrupt:  # imports take a second, and several on a small device
    sys.exit(interrupted("patchedge"))

VERBS = (run, watch, replay, ask, forget, bridge, doctor, probe, record, check, warm, bench, bundle, keygen, schema)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `patchedge` and give its exit code."""
    return run_app("patchedge", "Watch a camera for what it never saw before.", "cpu", VERBS, argv)


if __name__ == "__main__":
    sys.exit(main())
