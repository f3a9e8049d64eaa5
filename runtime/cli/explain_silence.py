"""Explain why no message arrives: no device answers, it requires keys, or it has other cameras than those asked for."""

from __future__ import annotations

import argparse
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edge_config.errors import AddressUnavailable
from edge_config.wire.messages import HealthMessage, Kind, StateMessage
from runtime.cli.following import keys_of
from runtime.process.progress import GAUGE

if TYPE_CHECKING:
    from runtime.client.subscriber import Subscriber

CONNECT_S = 1.0
"""Time-out of a connection."""

HINT_S = 1.5
"""After so long without an answer it is said if no program listens; a busy device answers within it."""

LISTEN_S = 6.0
"""A device sends a heartbeat within this time, unless its settings differ."""

REMEDY = "another service listens there: name the address of its `control`, not `events`, and keys if it requires them"
"""Where a request is not answered."""


def unreachable(url: str) -> str:
    """Return why a ZeroMQ address cannot be reached; empty if it can, or if that cannot be checked."""
    scheme, _, place = url.partition("://")
    try:
        if scheme == "tcp":
            host, _, port = place.rpartition(":")
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
        elif scheme == "ipc":
            with socket.socket(socket.AF_UNIX) as ours:
                ours.connect(place)
    except socket.gaierror as error:
        return f"the name is not known ({error.strerror})"
    except TimeoutError:
        return "no answer to a connection"
    except OSError as error:
        return f"nothing listens there ({error.strerror})"
    except ValueError:  # no address that we understand
        return ""
    return ""


@contextmanager
def asking(url: str) -> Iterator[None]:
    """Show that an answer is awaited and, where none comes, why: soon, as time-outs leave room for a device to restart.

    Raises:
        AddressUnavailable: none came.
    """
    hint = threading.Timer(HINT_S, _hint, (url,))
    hint.daemon = True
    hint.start()
    try:
        with GAUGE.stage(f"wait for an answer of {url}"):
            yield
    except AddressUnavailable as error:
        if why := unreachable(url):
            raise AddressUnavailable(f"{error.what}: {why}", where=url) from error
        raise AddressUnavailable(error.what, where=url, remedy=REMEDY) from error
    finally:
        hint.cancel()


def _hint(url: str) -> None:
    """Say why there is no answer yet, if that is to be seen."""
    if why := unreachable(url):
        line = AddressUnavailable(f"{why}; is patchedge running there? Waiting for it", where=url)
        print(f"{GAUGE.program}: {line}", file=sys.stderr, flush=True)


class SilenceCheck:
    """Subscribes to all messages of a device, to compare them with what `watch` asked for."""

    def __init__(self, args: argparse.Namespace) -> None:
        """Take the arguments of `watch`."""
        from runtime.client.subscriber import Subscriber

        self._args = args
        every: tuple[Kind, ...] = ("score", "alert", "state", "health")
        self._subscriber: Subscriber = Subscriber(args.url, kinds=every, keys=keys_of(args))

    def finding(self) -> str:
        """Return what the next message shows; empty if there is none yet."""
        received = self._subscriber.receive(0)
        if received is None:
            return ""
        said, args = received.message, self._args
        name = f"{said.device}/{said.camera}"
        wanted = "/".join(word for word in (args.device, args.camera) if word)
        if (args.device or said.device, args.camera or said.camera) != (said.device, said.camera):
            return f"there are messages of {name}, and none yet of {wanted}"
        if isinstance(said, (HealthMessage, StateMessage)) and said.state != "live":
            return f"{name} is {said.state}"
        return f"{name} is there; nothing of what is asked for was said yet"

    def close(self) -> None:
        """Disconnect."""
        self._subscriber.close()
