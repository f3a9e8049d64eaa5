"""All devices that the page shows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec
import zmq

from edge_config.settings.page import PageSettings
from edge_config.wire.messages import PreviewMessage, ScoreMessage
from edge_config.wire.request_base import Request
from runtime.client.received import Received
from runtime.page.devices.alerts import AlertIntake, catch_up_all
from runtime.page.devices.asking import TIMEOUT_S
from runtime.page.devices.hub import Hub
from runtime.page.devices.link import DeviceLink
from runtime.page.devices.live import LiveCamera
from runtime.page.devices.previews import shown
from runtime.page.refused import Refused
from runtime.page.store.store import PageStore
from runtime.security import keys
from runtime.security.keys import Keys

TICK_S = 0.2
"""Interval of news about cameras: at most five a second."""

JOURNAL_S = 60.0
"""Interval at which the place in the journals is moved on."""

T = TypeVar("T")


class PageDevices:
    """Connections to all devices. Use it from one event loop.

    Attributes:
        hub: hands news to browsers.
        alerts: takes in alerts.
    """

    def __init__(self, settings: PageSettings, store: PageStore) -> None:
        """Check the key files; nothing is connected.

        Raises:
            PatchedgeError: a key file cannot be used.
        """
        self.hub = Hub(self._watch)
        self.alerts = AlertIntake(store, self.hub)
        self._store = store
        secret = None if settings.secret_key is None else Path(settings.secret_key)
        if secret is not None:
            keys.load_secret(secret)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._links: dict[str, DeviceLink] = {}
        for name, device in settings.devices.items():
            its = None
            if device.server_key is not None and secret is not None:
                keys.load_public(Path(device.server_key))
                its = Keys(secret_key=secret, server_key=Path(device.server_key))
            link = self._links[name] = DeviceLink(name, device, its, self._context, self._take, self._show)
            link.when_back(partial(self.alerts.catch_up, link))
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def names(self) -> Iterable[str]:
        """Names of the devices."""
        return self._links.keys()

    @property
    def links(self) -> Iterable[DeviceLink]:
        """The connections."""
        return self._links.values()

    @property
    def cameras(self) -> list[LiveCamera]:
        """All cameras that were heard of."""
        return [camera for link in self._links.values() for camera in link.cameras.values()]

    async def open(self) -> None:
        """Connect.

        Raises:
            PatchedgeError: an address or a key cannot be used.
        """
        for link in self._links.values():
            link.open()
        self._tasks = [asyncio.create_task(self._tick()), asyncio.create_task(self._read_journals())]
        self._tasks.append(asyncio.create_task(self.alerts.peaks.run()))

    async def close(self) -> None:
        """Disconnect."""
        self.hub.end()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(link.close() for link in self._links.values()))
        self._context.destroy(linger=0)

    def link(self, device: str) -> DeviceLink:
        """Return the connection to a device.

        Raises:
            Refused: there is no such device.
        """
        if device not in self._links:
            raise Refused(404, f"there is no device `{device[:80]}` here")
        return self._links[device]

    def camera(self, key: str) -> LiveCamera:
        """Return a camera by its key: `DEVICE:CAMERA`, or `CAMERA` where only one device has it.

        Raises:
            Refused: there is no such camera, or several devices have one of this name.
        """
        device, colon, name = key.rpartition(":")
        found = [one for one in self.cameras if one.name == name and (not colon or one.device == device)]
        if not found:
            raise Refused(404, f"there is no camera `{key[:160]}` here")
        if len(found) > 1:
            raise Refused(404, f"several devices have a camera `{name[:80]}`; write DEVICE:CAMERA")
        return found[0]

    def full_key(self, key: str) -> str:
        """Return `DEVICE:CAMERA` for the key of a camera, which may not be known yet.

        Raises:
            Refused: several devices have a camera of this name, or there is no such device.
        """
        device, colon, _ = key.partition(":")
        return f"{self.link(device).name}{key[len(device) :]}" if colon else self.camera(key).key

    async def ask(
        self, device: str, request: Request, kind: type[T], *, user: str = "", timeout_s: float = TIMEOUT_S
    ) -> T:
        """Ask a device, and return its reply.

        Args:
            device: name of the device.
            request: one of `edge_config/wire/requests.py`.
            kind: type of the reply; `object` for plain values.
            user: for whom it is asked.
            timeout_s: time-out of the answer.

        Raises:
            Refused: there is no such device.
            KeyDenied: the page's key may not do this.
            RequestError: the device refused it.
            AddressUnavailable: it did not answer in time.
            MessageError: its reply cannot be read.
        """
        return (await self.ask_parts(device, request, kind, user=user, timeout_s=timeout_s))[0]

    async def ask_parts(
        self,
        device: str,
        request: Request,
        kind: type[T],
        *,
        parts: Sequence[bytes] = (),
        user: str = "",
        timeout_s: float = TIMEOUT_S,
    ) -> tuple[T, tuple[bytes, ...]]:
        """Ask a device, with binary parts, and return its reply and the binary parts of that. It raises as `ask`."""
        answered = await self.link(device).ask(_of_user(request, user), parts, timeout_s)
        return answered.read(kind), answered.parts

    async def _take(self, link: DeviceLink, received: Received) -> None:
        """Take in a message of a device."""
        if isinstance(received.message, ScoreMessage):
            self._store.add_score(link.name, received.message)
        elif received.kind == "alert":
            await self.alerts.take(link, received)

    def _show(self, link: DeviceLink, said: PreviewMessage, parts: tuple[bytes, ...]) -> None:
        """Show a picture, encoded once, to all who watch its camera."""
        camera = link.camera(said.camera)
        camera.take_picture(said)
        if camera.is_live:
            self.hub.show(camera.key, lambda: shown(camera.key, said, parts))

    def _watch(self, keys: frozenset[str]) -> None:
        for link in self._links.values():
            link.watch(keys)

    async def _read_journals(self) -> None:
        """Keep the place in each journal, so that a restart has little to read."""
        while True:
            await asyncio.sleep(JOURNAL_S)
            await catch_up_all(self.alerts, [*self._links.values()])

    async def _tick(self) -> None:
        """Tell browsers what has changed."""
        while True:
            await asyncio.sleep(TICK_S)
            for link in self._links.values():
                if link.changed:
                    link.changed = False
                    self.hub.tell("device", link.name, link.shown())
                for camera in link.cameras.values():
                    camera.look()
                    if camera.changed:
                        camera.changed = False
                        if not camera.is_live:
                            self.hub.drop_picture(camera.key)
                        self.hub.tell("camera", camera.key, camera.shown())


def _of_user(request: Request, user: str) -> Request:
    """Return a request that names the user, where requests do."""
    if user and "user" in request.__struct_fields__:
        return msgspec.structs.replace(request, user=user[:64])
    return request
