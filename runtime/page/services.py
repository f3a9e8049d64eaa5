"""What the page is made of, for the operations of its API."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from edge_config.settings.page import PageSettings
from runtime.page.access.control import AccessControl, make_access
from runtime.page.devices.devices import PageDevices
from runtime.page.fleet import ShownFleet
from runtime.page.media.media import Media
from runtime.page.store.store import PageStore
from runtime.page.uploads.decode import PictureDecoder


@dataclass(frozen=True)
class Services:
    """The parts of the page; `request.app.state.services`.

    Attributes:
        settings: of the page.
        folder: where it may keep something; it exists.
        devices: connections to the devices, and their live values.
        store: scores, alerts and comments.
        fleet: the fleet that is shown; None: none.
    """

    settings: PageSettings
    folder: Path
    devices: PageDevices
    store: PageStore
    fleet: ShownFleet | None = None

    @cached_property
    def media(self) -> Media:
        """Films of clips, and how much is made at a time."""
        return Media(self.folder)

    @cached_property
    def access(self) -> AccessControl:
        """Access control.

        Raises:
            PatchedgeError: the settings would let in others without users or encryption; a file cannot be used.
        """
        return make_access(self.settings, self.folder)

    @cached_property
    def pictures(self) -> PictureDecoder:
        """Decodes uploaded pictures."""
        return PictureDecoder()
