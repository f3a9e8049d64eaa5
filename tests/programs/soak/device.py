"""The runtime as `patchedge run --config FILE` starts it, but with a capture process that knows `usb.Driver`.

    python -m tests.programs.soak.device FILE PARENT

PARENT is the id of the process that starts it: the runtime does not outlive a soak that is killed.
"""

from __future__ import annotations

import sys

from runtime.process.child import die_with_parent
from runtime.process.signals import Termination

GRAB = (sys.executable, "-m", "tests.programs.soak.grab")


def main(path: str, parent: str) -> int:
    """Run until a signal comes."""
    die_with_parent(int(parent))
    termination = Termination()  # before the imports below: some start threads, which inherit what is blocked

    from edge_config.settings.parse import parse
    from edge_config.settings.reading import read_file
    from runtime.app.serve import serve

    return serve(parse(read_file(path), path), termination, grab=GRAB)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
