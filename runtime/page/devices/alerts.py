"""Alerts of devices: stored first, then told; those that the page has missed are read from the journals."""

from __future__ import annotations

import asyncio

import structlog

from edge_config.errors import MessageError, PatchedgeError
from edge_config.wire.messages import AlertMessage
from edge_config.wire.replies import KeptMessages, Now, kept_frames
from edge_config.wire.requests import After, Snapshot
from runtime.client.received import Received, read
from runtime.client.within import within
from runtime.page import heat
from runtime.page.devices.hub import Hub
from runtime.page.devices.link import DeviceLink
from runtime.page.devices.peaks import AlertPeaks
from runtime.page.jpeg_size import jpeg_size
from runtime.page.shapes import ShownAlert
from runtime.page.store.alerts import AlertPicture
from runtime.page.store.store import PageStore
from runtime.page.store.writer import NotStored

PAGE = 20
"""Messages of the journal that are asked for at a time: each may have a picture."""

ANSWER_S = 20.0
"""Time-out of such a question."""

STORE_S = 2.0
"""Time-out of the disk for a live alert; then it is told as it came."""

LOST = "the device was restarted"
"""Why an alert ended whose end nobody told."""

_MS = 1_000_000  # nanoseconds


class AlertIntake:
    """Takes in the alerts of all devices. Use it from one event loop.

    Attributes:
        peaks: fetches pictures of alerts that came without.
    """

    def __init__(self, store: PageStore, hub: Hub) -> None:
        self._store, self._hub = store, hub
        self.peaks = AlertPeaks(store, hub)
        self._reading: set[str] = set()

    async def take(self, link: DeviceLink, received: Received, *, tell: bool = True) -> None:
        """Take in a message about an alert, and `tell` browsers.

        Raises:
            NotStored: it was not stored, and is not told.
        """
        said = received.message
        if not isinstance(said, AlertMessage):
            return
        shown = picture_of(said, received.parts)
        camera = link.camera(said.camera)
        frame_hw = camera.frame_hw
        if shown.picture is not None:
            camera.frame_hw = frame_hw = jpeg_size(shown.picture) or frame_hw
        putting = self._store.put_alert(link.name, said, shown, frame_hw)
        try:
            # A disk that hangs must not hold up what is live.
            alert = await within(STORE_S if tell else None, putting)
        except (NotStored, asyncio.TimeoutError):
            if not tell:
                raise
            alert = unstored(link.name, said, frame_hw)
        if alert is None:
            return
        self.peaks.want(link, alert)
        if not tell:
            return
        is_current = camera.alert is not None and camera.alert.id == alert.id
        if alert.end_ms is None and (is_current or camera.alert is None or alert.start_ms >= camera.alert.start_ms):
            camera.alert, camera.changed = alert, True
        elif alert.end_ms is not None and is_current:
            camera.alert, camera.changed = None, True
        self._hub.tell_alert(alert)

    async def catch_up(self, link: DeviceLink) -> None:
        """Read what the journal of a device has of alerts since the last time, and end those that were lost.

        Raises:
            PatchedgeError: the device does not answer.
        """
        if link.name in self._reading:
            return
        self._reading.add(link.name)
        try:
            await self._read(link)
        except NotStored:
            return  # the next time begins at the same row
        finally:
            self._reading.discard(link.name)

    async def _read(self, link: DeviceLink) -> None:
        now = (await link.asking.ask(Snapshot())).read(Now)
        row, epoch = await self._store.cursor(link.name)
        count, more = 0, True
        while more:
            request = After(row=row, epoch=epoch, topics=("v1/alert/",), limit=PAGE)
            answered = await link.asking.ask(request, timeout_s=ANSWER_S)
            kept = answered.read(KeptMessages)
            for frames in kept_frames(kept, answered.parts):
                try:
                    received = read(frames, "replay")
                except MessageError:
                    continue
                # What is open is told by the live messages, and by the snapshot that these begin with.
                await self.take(link, received, tell=False)
                count += 1
            is_new = (kept.next, kept.epoch) != (row, epoch)
            more = kept.more and is_new
            if is_new:
                row, epoch = kept.next, kept.epoch
                await self._store.set_cursor(link.name, row, epoch)
        await self._store.close_lost(link.name, now.epoch, LOST)
        for camera in link.cameras.values():
            latest = now.cameras.get(camera.name)
            if camera.alert is not None and latest is not None and latest.alert is None:
                camera.alert, camera.changed = None, True
        if count:
            structlog.get_logger().info("alerts read from the journal", device=link.name, messages=count)


async def catch_up_all(alerts: AlertIntake, links: list[DeviceLink]) -> None:
    """Move the place in each journal on, so that a restart has little to read."""
    for link in links:
        if link.connected:
            try:
                await alerts.catch_up(link)
            except PatchedgeError as error:
                structlog.get_logger().info("journal not read", device=link.name, reason=str(error))


def picture_of(said: AlertMessage, parts: tuple[bytes, ...]) -> AlertPicture:
    """Return what a message shows of the peak."""
    picture, map_ = None, None
    for part, data in zip(said.parts, parts, strict=False):
        if part.name == "jpeg":
            picture = data
        elif part.name == "heat_map":
            map_ = heat.of_alert(part, data, said.threshold)
    return AlertPicture("image/jpeg", picture, map_)


def unstored(device: str, said: AlertMessage, frame_hw: tuple[int, int] | None) -> ShownAlert:
    """Return an alert that could not be stored, as the message alone tells it."""
    return ShownAlert(
        id=said.alert_id,
        key=f"{device}:{said.camera}",
        device=device,
        camera=said.camera,
        start_ms=(said.t_start_ns or said.t_capture_ns) // _MS,
        end_ms=said.t_capture_ns // _MS if said.phase == "end" else None,
        peak_score=said.peak_score,
        peak_excess=said.peak_excess,
        peak_ms=said.t_capture_ns // _MS,
        threshold=said.threshold,
        reason=said.reason,
        clip=said.clip,
        has_clip=bool(said.clip),
        boxes=said.boxes,
        frame_hw=frame_hw,
    )
