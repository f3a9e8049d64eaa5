"""Pictures of alerts that came without one: the device has kept their peaks, to learn from."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import datetime, timezone
from math import isclose

import structlog

from edge_config.errors import PatchedgeError
from edge_config.wire.teaching import FetchPicture, ListPictures, PictureList, PicturePart, StoredPicture
from runtime.page.devices.hub import Hub
from runtime.page.devices.link import DeviceLink
from runtime.page.refused import KeyDenied
from runtime.page.shapes import ShownAlert
from runtime.page.store.alerts import KeptPicture
from runtime.page.store.store import PageStore
from runtime.page.store.writer import NotStored

WAIT_S = 1.5
"""The device takes a moment to store the peak of an alert."""

MAX_WAITING = 50
"""Maximum number of alerts whose pictures are still to be fetched; the oldest are dropped."""

MAX_BYTES = 8 << 20
"""Maximum size of a picture."""

LISTED = 20
"""AlertPeaks that are looked at, from the beginning of the alert on."""

ANSWER_S = 15.0

SAME = 1e-6
"""Relative difference of two scores of the same frame: they are rounded where they are written."""


class AlertPeaks:
    """Fetches one picture at a time. Use it from one event loop."""

    def __init__(self, store: PageStore, hub: Hub) -> None:
        self._store, self._hub = store, hub
        self._waiting: deque[tuple[DeviceLink, ShownAlert]] = deque(maxlen=MAX_WAITING)
        self._arrived = asyncio.Event()

    def want(self, link: DeviceLink, alert: ShownAlert) -> None:
        """Fetch the picture of an alert that has none."""
        if not alert.has_picture and all(alert.id != other.id for _, other in self._waiting):
            self._waiting.append((link, alert))
            self._arrived.set()

    async def run(self) -> None:
        """Fetch what is wanted, without end."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            await asyncio.sleep(WAIT_S)
            while self._waiting:
                link, alert = self._waiting.pop()  # the latest is looked at first
                try:
                    await self.fetch(link, alert, await self._find(link, alert))
                except (PatchedgeError, KeyDenied, NotStored) as error:
                    structlog.get_logger().info("an alert has no picture", alert=alert.id, reason=str(error))
                except Exception:  # noqa: BLE001 - one picture must not stop the others
                    structlog.get_logger().exception("the picture of an alert could not be fetched", alert=alert.id)

    async def fetch(
        self, link: DeviceLink, alert: ShownAlert, found: StoredPicture | None, *, instead: bool = False
    ) -> None:
        """Fetch a stored peak of an alert, show it where there is no picture or `instead`, and tell browsers.

        Raises:
            PatchedgeError: the device does not answer, or refuses.
            KeyDenied: the page's key may not fetch it.
            NotStored: it could not be stored.
        """
        if found is None or found.bytes > MAX_BYTES:
            return
        data = bytearray()
        while len(data) < found.bytes:
            request = FetchPicture(camera=alert.camera, picture=found.id, offset=len(data))
            answered = await link.ask(request, (), ANSWER_S)
            answered.read(PicturePart)
            part = b"".join(answered.parts)
            if not part:
                return
            data += part
        # Boxes that are told with the alert are those of its highest score.
        boxes = found.boxes or (alert.boxes if isclose(found.score, alert.peak_score, rel_tol=SAME) else ())
        kept = KeptPicture(found.score, bytes(data), boxes, _png_size(data))
        stored = await self._store.put_kept(alert.id, kept, instead=instead)
        if stored is not None:
            self._hub.tell_alert(stored)

    async def _find(self, link: DeviceLink, alert: ShownAlert) -> StoredPicture | None:
        """Return the highest peak of an alert; ids of stored pictures begin with the time, in seconds."""
        begin = datetime.fromtimestamp(alert.start_ms // 1000 - 1, timezone.utc)
        request = ListPictures(camera=alert.camera, kinds=("peak",), after=f"{begin:%Y%m%dT%H%M%S}", limit=LISTED)
        listed = (await link.ask(request, (), ANSWER_S)).read(PictureList)
        mine = [one for one in listed.pictures if one.alert == alert.id]
        return max(mine, key=lambda one: one.score, default=None)


def _png_size(data: bytes | bytearray) -> tuple[int, int] | None:
    """Return height and width of a PNG, which stand at its beginning."""
    if len(data) < 24:  # noqa: PLR2004 - the length of that
        return None
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    return height, width
