"""The page beside the device: a process of its own."""

from __future__ import annotations

import os

from edge_config.errors import SettingsError
from edge_config.settings.device import Settings
from runtime.app.beside.kept_process import KeptProcess
from runtime.process.child import module

PROGRAM = "runtime.page.beside"


class PageChild(KeptProcess):
    """Keeps the page running until `close`."""

    def __init__(self, settings: Settings, bind: str, events: str, control: str) -> None:
        """Start it, in a thread of its own.

        Args:
            settings: of the device.
            bind: address of the page.
            events: endpoint of the device's events.
            control: endpoint of its control socket.
        """
        words = (settings.device, here(events), here(control), bind, str(os.getpid()))
        super().__init__("the page", (*module(PROGRAM), *words))


def here(endpoint: str) -> str:
    """Return where this machine reaches an endpoint that is bound to all addresses."""
    for everywhere in ("tcp://0.0.0.0:", "tcp://*:", "tcp://[::]:"):
        if endpoint.startswith(everywhere):
            return f"tcp://127.0.0.1:{endpoint.removeprefix(everywhere)}"
    return endpoint


def refuse_keys(settings: Settings) -> None:
    """Refuse a page beside a device that requires keys: it has none.

    Raises:
        SettingsError: the device requires keys.
    """
    if settings.security.secret_key is not None:
        remedy = (
            "run `patchedge page --config FILE` beside it, with `secret_key` of the page and `server_key` of the device"
        )
        raise SettingsError("--page has no key, and this device requires one", where="security", remedy=remedy)
