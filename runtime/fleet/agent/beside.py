"""The agent as a child of `patchedge run`: it ends with its parent, and comes after the cameras."""

from __future__ import annotations

import asyncio
import os
import sys

from runtime.process.child import die_with_parent

NICE = 10
"""The cameras and the page come first."""


def main() -> int:
    """Run the agent until a signal comes; return the exit code.

    The settings come in as JSON. The arguments are the address of the control socket, and the id of the parent.
    """
    control, parent = sys.argv[1:]
    die_with_parent(int(parent))
    os.nice(NICE)
    os.environ.pop("NOTIFY_SOCKET", None)  # systemd listens to the device

    import msgspec

    from edge_config.errors import PatchedgeError
    from edge_config.extra import needs_extra
    from edge_config.settings.device import Settings
    from runtime.process.log import set_up_logging

    set_up_logging()
    settings = msgspec.json.decode(sys.stdin.buffer.read(), type=Settings)
    try:
        with needs_extra("fleet"):
            from runtime.fleet.agent.serve import run_until_signal

        asyncio.run(run_until_signal(settings, control))
    except PatchedgeError as error:
        print("\n".join(f"patchedge fleet agent: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return error.exit_code
    return 0
