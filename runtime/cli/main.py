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
        burn_in,
        check,
        configure,
        delete_pictures,
        doctor,
        fleet,
        forget,
        inspect_picture,
        keygen,
        learn,
        learn_on,
        page,
        probe,
        record,
        replay,
        rollback,
        run,
        schema,
        teach,
        versions,
        warm,
        watch,
    )
    from runtime.cli.app import Verbs, run_app
except KeyboardInterrupt:  # imports take a second, and several on a small device
    sys.exit(interrupted("patchedge"))

VERBS: Verbs = {
    "Learn": (record, learn, teach, learn_on, versions, rollback, burn_in),
    "Run": (run, check, warm, bench),
    "Watch": (page, watch, replay, bridge, schema),
    "Maintain": (doctor, probe, ask, configure, inspect_picture, forget, delete_pictures),
    "Bundles and keys": (bundle, keygen),
    "Many devices": (fleet,),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run `patchedge` and return its exit code."""
    description = "Learn what is normal in the view of a camera, and watch it for what it never saw before."
    return run_app("patchedge", description, "cpu", VERBS, argv)


if __name__ == "__main__":
    sys.exit(main())
