"""The page as a child of `patchedge run --page`: it ends with its parent."""

from __future__ import annotations

import os
import sys

from runtime.process.child import die_with_parent
from runtime.process.signals import Termination


def main() -> int:
    """Serve the page of one device until a signal comes; return the exit code.

    The arguments are the name of the device, its addresses of events and of control, the address to serve the page at,
    and the process id of the parent.
    """
    name, events, control, bind, parent = sys.argv[1:]
    termination = Termination()
    die_with_parent(int(parent))
    os.environ.pop("NOTIFY_SOCKET", None)  # systemd listens to the device

    from edge_config.errors import PatchedgeError
    from edge_config.extra import needs_extra
    from edge_config.settings import page

    tree = {"bind": bind, "devices": {name: {"events": events, "control": control}}}
    try:
        settings = page.parse(tree, where="--page")
        with needs_extra("page"):
            from runtime.page.priority import yield_to_device
            from runtime.page.serve import serve

        yield_to_device(settings)
        return serve(settings, termination)
    except PatchedgeError as error:
        print("\n".join(f"patchedge page: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return error.exit_code
