"""One device: its messages are followed, and it is asked whether it is there, and what the page's key may do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

import msgspec
import structlog
import zmq

from edge_config.errors import AddressUnavailable, MessageError, PatchedgeError, RequestError
from edge_config.settings.page import ShownDevice
from edge_config.wire.messages import Kind, PreviewMessage
from edge_config.wire.request_base import Request, Role
from edge_config.wire.requests import Configure, Status
from runtime.client.async_subscriber import AsyncSubscriber
from runtime.client.received import Received
from runtime.page.devices.asking import Answered, Requester, read_any
from runtime.page.devices.live import LiveCamera, now_ms
from runtime.page.devices.previews import Previews
from runtime.page.refused import KeyDenied
from runtime.page.shapes import DeviceShown
from runtime.security.keys import Keys

FOLLOWED: Final[tuple[Kind, ...]] = ("score", "alert", "state", "health")

LOOK_S = 2.0
"""Interval of the question whether a device is there."""

ANSWER_S = 4.0
"""Time-out of it."""

Take = Callable[["DeviceLink", Received], Awaitable[None]]
ShowPicture = Callable[["DeviceLink", PreviewMessage, "tuple[bytes, ...]"], None]


class DeviceLink:
    """The connection to one device. Use it from one event loop.

    Attributes:
        name: of the device in the settings of the page.
        own_name: its name in topics; empty until it was heard of.
        cameras: what is known of its cameras, by name.
        asking: sends requests.
        previews: the subscription to pictures.
        role: what the page's key may do there; empty if unknown.
    """

    def __init__(
        self,
        name: str,
        device: ShownDevice,
        keys: Keys | None,
        context: zmq.Context[zmq.Socket[bytes]],
        take: Take,
        show: ShowPicture,
    ) -> None:
        """Do nothing yet.

        Args:
            name: of the device in the settings of the page.
            device: its addresses.
            keys: key files, if it requires them.
            context: shared by all sockets of the page.
            take: gets each message, after the camera took it in.
            show: gets each picture that is watched.
        """
        self.name, self.own_name = name, ""
        self.cameras: dict[str, LiveCamera] = {}
        self.role: Role | str = ""
        self.asking = Requester(device.control, keys, context)
        self.previews = Previews(device.events, keys, context, lambda said, parts: show(self, said, parts))
        self.changed = True
        self.connected, self.since_ms, self.error, self.version = False, now_ms(), "", ""
        self._device, self._keys, self._context, self._take = device, keys, context, take
        self._watched: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._beside: set[asyncio.Task[None]] = set()
        self._on_back: list[Callable[[], Coroutine[Any, Any, None]]] = []

    def when_back(self, action: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Call `action` each time that the device answers after it did not."""
        self._on_back.append(action)

    def open(self) -> None:
        """Connect; an address or a key that cannot be used is said as an error of the device."""
        try:
            self.asking.open()
        except PatchedgeError as error:
            self._is_away(str(error))
            return
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._look())]

    async def close(self) -> None:
        """Disconnect."""
        for task in (*self._tasks, *self._beside):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._beside, return_exceptions=True)
        await self.previews.close()
        await self.asking.close()

    async def ask(self, request: Request, parts: Sequence[bytes], timeout_s: float) -> Answered:
        """Ask the device, unless it is known to be away; errors are those of `Requester.ask`."""
        if not self.connected and self.error:
            raise AddressUnavailable(f"the device `{self.name}` does not answer")
        return await self.asking.ask(request, parts, timeout_s=timeout_s)

    def camera(self, name: str) -> LiveCamera:
        """Return what is known of a camera, which may be new."""
        if name not in self.cameras:
            self.cameras[name] = LiveCamera(self.name, name)
            self.changed = True
        return self.cameras[name]

    def watch(self, keys: frozenset[str]) -> None:
        """Have exactly these cameras make pictures; keys of other devices are passed over."""
        self._watched = {key.partition(":")[2] for key in keys if key.partition(":")[0] == self.name}
        if self.own_name:  # else when it is known
            self.previews.watch(self.own_name, self._watched)

    def shown(self) -> DeviceShown:
        """Return how the device is."""
        return DeviceShown(
            name=self.name,
            connected=self.connected,
            since_ms=self.since_ms,
            role=self.role,  # type: ignore[arg-type]
            error=self.error,
            version=self.version,
            cameras=tuple(camera.key for camera in self.cameras.values()),
        )

    async def _follow(self) -> None:
        """Take in messages until the end; what is damaged is passed over."""
        its = self._device
        try:
            subscriber = AsyncSubscriber(
                its.events, kinds=FOLLOWED, control=its.control, keys=self._keys, context=self._context
            )
        except PatchedgeError as error:
            structlog.get_logger().error("no messages of a device", device=self.name, reason=str(error))
            return
        async with subscriber:
            async for received in subscriber:
                try:
                    self._note(received)
                    await self._take(self, received)
                except Exception:  # noqa: BLE001 - one message must not stop the others
                    structlog.get_logger().exception("a message could not be taken in", topic=received.topic)

    def _note(self, received: Received) -> None:
        said = received.message
        self._is_named(said.device)
        camera = self.camera(said.camera)
        match received.kind:
            case "score":
                camera.take_score(said)  # type: ignore[arg-type]
            case "state":
                camera.take_state(said)  # type: ignore[arg-type]
            case "health":
                camera.take_health(said)  # type: ignore[arg-type]
            case _:
                pass

    def _is_named(self, name: str) -> None:
        if name != self.own_name:
            self.own_name = name
            self.previews.watch(name, self._watched)

    async def _look(self) -> None:
        """Ask again and again whether the device is there."""
        while True:
            try:
                status = read_any(await self.asking.ask(Status(), timeout_s=ANSWER_S))
                await self._answered(status)
            except (AddressUnavailable, MessageError, RequestError) as error:
                self._is_away(str(error))
            except Exception:  # noqa: BLE001 - the page goes on
                structlog.get_logger().exception("the status of a device could not be taken in", device=self.name)
            await asyncio.sleep(LOOK_S)

    async def _answered(self, status: dict[str, Any]) -> None:
        self._is_named(str(status.get("device", self.own_name)))
        version = str(status.get("version", ""))
        is_back = not self.connected
        if is_back or version != self.version:
            self.changed = True
        self.version = version
        named = status.get("cameras", {})
        learning = status.get("learning", {})
        for name, said in named.items():
            with contextlib.suppress(msgspec.ValidationError):  # a later version says it otherwise
                self.camera(name).take_status(said, learning.get(name, {}))
        for name in [name for name in self.cameras if name not in named]:
            del self.cameras[name]
            self.changed = True
        if not is_back:
            return
        self.connected, self.since_ms, self.error = True, now_ms(), ""
        structlog.get_logger().info("device found", device=self.name, cameras=[*named])
        for camera in self.cameras.values():
            camera.find()
        await self._find_role()
        for action in self._on_back:
            self._background(action())

    def _is_away(self, why: str) -> None:
        if self.connected or not self.error:
            self.connected, self.since_ms, self.error, self.changed = False, now_ms(), why, True
            structlog.get_logger().warning("device does not answer", device=self.name, reason=why)
        for camera in self.cameras.values():
            camera.lose("the page cannot reach the device")

    def _background(self, action: Coroutine[Any, Any, None]) -> None:
        """Do something beside; an error of the device is logged, as it is asked again when it is back."""

        async def do() -> None:
            try:
                await action
            except PatchedgeError as error:
                structlog.get_logger().warning("a device went away", device=self.name, reason=str(error))
            except Exception:  # noqa: BLE001 - the page goes on
                structlog.get_logger().exception("a device could not be read", device=self.name)

        task = asyncio.create_task(do())
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    async def _find_role(self) -> None:
        """Find out what the key may do by a request that changes nothing, and needs the role operate."""
        try:
            (await self.asking.ask(Configure(camera=next(iter(self.cameras), "-")))).read(object)
            self.role = "operate"
        except KeyDenied:
            self.role = "view"
        except RequestError:  # there is no such camera: the role was looked at before
            self.role = "operate"
        except PatchedgeError:
            self.role = ""
        self.changed = True
