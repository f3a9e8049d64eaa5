"""The page in a thread, and devices for it that do what a test tells them."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from starlette.types import Receive, Scope, Send

from edge_config.settings.page import PageSettings, ShownDevice, StoreSettings
from edge_config.wire import replies, requests
from edge_config.wire.teaching import (
    Decision,
    FalseAlarm,
    FetchPicture,
    ListPictures,
    Marked,
    PictureList,
    PicturePart,
    PicturesJudged,
    Reject,
    StoredPicture,
)
from runtime.page.app import make_app
from runtime.page.devices.devices import PageDevices
from runtime.page.fleet import ShownFleet
from runtime.page.serve import bind
from runtime.page.services import Services
from runtime.page.store.store import PageStore
from tests.support.fakes import answering
from tests.support.processes import ENOUGH_S

JPEG = b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x78\x00\xa0\x03"
"""The head of a JPEG of 160 x 120 pixels, which is all that the page reads of one."""

_never = threading.Event()


class PagedDevice(answering.Device):
    """A device that also answers what the page asks.

    Attributes:
        role: of the page's key.
        refusal: why requests that change something are refused; empty: they are done.
        orders: those that were done.
        status, learning: of cameras, as the answer to `status` has them.
        peaks: id of an alert -> the PNG that is stored of it.
        decided: what was decided on the peaks.
    """

    def __init__(self, folder: Path, **options: Any) -> None:
        self.role = "operate"
        self.refusal = ""
        self.orders: list[Any] = []
        self.status: dict[str, Any] = {}
        self.learning: dict[str, Any] = {}
        self.peaks: dict[str, bytes] = {}
        self.decided: Decision = ""
        folder.mkdir(exist_ok=True)
        super().__init__(folder, **options)

    def answer(self, body: bytes) -> list[bytes]:  # noqa: PLR0911 - an answer for each request
        request = requests.decode_request(body)
        if request.role == "operate" and self.role == "view":
            return [replies.encode_refusal(request.id, "this needs a key of the role operate", denied=True)]
        match request:
            case requests.Status():
                cameras = {name: self.status.get(name, {}) for name in self.cameras}
                status = {"device": self.name, "cameras": cameras, "learning": self.learning, "version": "9.9"}
                return [replies.encode_reply(request.id, status)]
            case requests.Picture():
                taken = replies.PictureTaken(
                    camera=request.camera, frame_id=5, t_capture_ns=7_000_000, width=160, height=120
                )
                return [replies.encode_reply(request.id, taken), JPEG]
            case ListPictures():
                found = tuple(_peak(alert, len(data), self.decided) for alert, data in self.peaks.items())
                reply = PictureList(pictures=found, more=False, stored_bytes=0, most_bytes=1)
                return [replies.encode_reply(request.id, reply)]
            case FetchPicture():
                ((alert, data),) = self.peaks.items()
                reply = PicturePart(picture=_peak(alert, len(data)), offset=request.offset, size=len(data))
                return [replies.encode_reply(request.id, reply), data[request.offset : request.offset + 999]]
            case Reject():
                self.orders.append(request)
                return [replies.encode_reply(request.id, PicturesJudged(camera=request.camera, changed=1, undecided=0))]
            case FalseAlarm():
                if request.score not in {None, 9.0}:
                    return [replies.encode_refusal(request.id, "another picture of this alert is stored")]
                self.orders.append(request)
                if self.refusal:
                    return [replies.encode_refusal(request.id, self.refusal)]
                return [
                    replies.encode_reply(request.id, Marked(camera=request.camera, picture=_peak("1", 1), open=False))
                ]
            case _:
                return super().answer(body)


def _peak(alert: str, size: int, decided: Decision = "") -> StoredPicture:
    time = "2026-11-27T00:00:00Z"
    more = {"time": time, "frame": 1, "score": 9.0, "threshold": 3.0, "sha256": ""}
    more |= {"bytes": size, "alert": alert, "decided": decided, "boxes": ((1, 2, 3, 4),)}
    return StoredPicture(id="20261127T000000000Z-00000001", kind="peak", camera="a", **more)


@dataclass(frozen=True)
class Reply:
    """What the page answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class ServedPage:
    """A page that is served.

    Attributes:
        port: at 127.0.0.1.
        services: what it is made of; they belong to its thread.
    """

    def __init__(self, port: int, services: Services) -> None:
        self.port, self.services = port, services

    def ask(self, path: str, method: str = "GET", body: Any = None) -> Reply:
        """Ask the API."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ENOUGH_S)
        try:
            sent = body if isinstance(body, bytes | None) else msgspec.json.encode(body)
            connection.request(method, f"/api/v1/{path}", sent)
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """Return the JSON of a reply that must be good."""
        reply = self.ask(path)
        assert reply.status == 200, reply.body
        return reply.json

    def until(self, reached: Callable[[], Any]) -> Any:
        """Ask again and again until something is true; return it."""
        return until(reached)

    @contextmanager
    def events(self, query: str = "") -> Iterator[Iterator[tuple[str, Any]]]:
        """Yield the live events: kind and object of each."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ENOUGH_S)
        try:
            connection.request("GET", f"/api/v1/events{query}")
            with connection.getresponse() as answer:  # it has the socket, too
                assert answer.status == 200, answer.read()
                yield _parsed(answer)
        finally:
            connection.close()


def until(reached: Callable[[], Any]) -> Any:
    """Ask again and again until something is true; return it."""
    for _ in range(round(ENOUGH_S / 0.02)):
        if found := reached():
            return found
        _never.wait(0.02)
    raise AssertionError("never")


def _parsed(answer: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    kind = ""
    while line := answer.readline():
        if line.startswith(b"event: "):
            kind = line[7:].strip().decode()
        elif line.startswith(b"data: "):
            yield kind, json.loads(line[6:])


def settings_for(**devices: answering.Device) -> PageSettings:
    """Return the settings of a page that shows these devices."""
    shown = {name: ShownDevice(events=one.events, control=one.control) for name, one in devices.items()}
    return PageSettings(bind="127.0.0.1:0", devices=shown, store=StoreSettings(hours=720, days=3650))


@contextmanager
def served(
    folder: Path,
    settings: PageSettings,
    role: str = "operator",
    user: str = "anna",
    fleet: ShownFleet | None = None,
) -> Iterator[ServedPage]:
    """Serve a page without access control, as somebody of a role, until the end of the block."""
    folder.mkdir(exist_ok=True)
    store = PageStore(folder, settings.store)
    services = Services(settings, folder, PageDevices(settings, store), store, fleet)
    app = make_app(services)

    async def as_user(scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {}).update(role=role, user=user)
        await app(scope, receive, send)

    config = uvicorn.Config(as_user, loop="asyncio", http="h11", log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with bind(settings.bind) as listening:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])), daemon=True)
        thread.start()
        try:
            until(lambda: server.started or not thread.is_alive())
            yield ServedPage(listening.getsockname()[1], services)
        finally:
            services.devices.hub.end()
            server.should_exit = True
            thread.join(ENOUGH_S)
            assert not thread.is_alive()
