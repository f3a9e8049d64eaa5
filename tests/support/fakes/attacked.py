"""A device in a process of its own, to be attacked: `python -m tests.support.fakes.attacked FOLDER keys|none`.

Its first line tells where it publishes and answers; it ends with its standard input. To a good request it says
what it refused so far.
"""

from __future__ import annotations

import json
import select
import sys
from contextlib import closing
from pathlib import Path

from runtime.events import Asked
from runtime.messaging import listener
from tests.support.keyring import Device

TURN_S = 0.01
"""Between two messages."""


class Attacked(Device):
    """Tells what it refused."""

    def _answer(self, asked: Asked) -> None:
        said = {"events": self.publisher.refused, "control": self.control.refused, "denied": self.access.denied}
        self.control.reply(asked, said)


def run(folder: Path, *, encrypted: bool) -> None:
    """Publish until standard input ends."""
    with closing(Attacked(folder, encrypted=encrypted)) as device:
        at = {"events": device.publisher.endpoint, "control": device.control.endpoint, "epoch": device.publisher.epoch}
        print(json.dumps(at), flush=True)
        while not select.select([sys.stdin], [], [], TURN_S)[0]:
            device.access.refresh()
            device.publish()


if __name__ == "__main__":
    listener.OPTIONS[listener.zmq.HANDSHAKE_IVL] = 1000
    run(Path(sys.argv[1]), encrypted=sys.argv[2] == "keys")
