"""What the page is made of, for those who answer its requests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_config.settings.page import Page
from runtime.page.devices.devices import Devices
from runtime.page.store.store import Store


@dataclass(frozen=True)
class Services:
    """The parts of the page; `request.app.state.services`.

    Attributes:
        settings: of the page.
        folder: where it may keep something; it exists.
        devices: connections to the devices, and their live values.
        store: scores, alerts and comments.
    """

    settings: Page
    folder: Path
    devices: Devices
    store: Store
