"""The bridge at a real NATS server with JetStream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, DeliverPolicy

from edge_config.settings import bridge
from edge_config.settings.bridge import Bridge
from runtime.bridge.relay import IN_FLIGHT
from tests.support.brokers import NatsServer, needs_nats
from tests.support.fakes.bridged_device import FakeDevice, bridged
from tests.support.processes import ENOUGH_S

pytestmark = needs_nats

ALERTS = 800
KILLS = 3
CAMERAS = 8


def settings(server: NatsServer, **more: Any) -> Bridge:
    devices = [{"events": "tcp://127.0.0.1:1", "control": "tcp://127.0.0.1:2"}]
    return bridge.parse({"devices": devices, "nats": {"servers": [f"nats://127.0.0.1:{server.port}"]}, **more})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    """Yield a server that is up."""
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.end()


@asynccontextmanager
async def connected(server: NatsServer) -> AsyncIterator[tuple[Client, JetStreamContext]]:
    """Connect as anybody does."""
    client = Client()
    await client.connect(f"nats://127.0.0.1:{server.port}", allow_reconnect=False)
    try:
        yield client, client.jetstream(timeout=ENOUGH_S)
    finally:
        await client.close()


async def stored(stream: JetStreamContext, subject: str, count: int) -> list[Msg]:
    """Read all messages of a subject, and wait until there are so many."""
    config = ConsumerConfig(deliver_policy=DeliverPolicy.ALL)
    reader = await stream.subscribe(subject, ordered_consumer=True, stream="PATCHEDGE", config=config)
    messages = [await reader.next_msg(ENOUGH_S) for _ in range(count)]
    await reader.unsubscribe()
    return messages


def test_alert_and_state_are_in_the_stream(server: NatsServer) -> None:
    """Both are stored as published, with the key of the message; the stream was made for them, scores pass it by."""

    async def run() -> None:
        device = FakeDevice()
        async with connected(server) as (client, stream):
            scores = await client.subscribe("patchedge.score.edge.cam1")
            await client.flush()
            async with bridged(settings(server, scores=True), device):
                said = device.alert(jpeg=b"\xff\xd8")
                await device.alerts.until(lambda: len(device.alerts.acknowledged) == 1)
                device.state("dark")
                device.score()
                assert json.loads((await scores.next_msg(ENOUGH_S)).data)["score"] == 2.5
                alert, state = [
                    (await stored(stream, f"patchedge.{kind}.edge.cam1", 1))[0] for kind in ("alert", "state")
                ]
            info = await stream.stream_info("PATCHEDGE")
        assert json.loads(alert.data)["alert_id"] == said.alert_id
        assert (alert.header or {})["Nats-Msg-Id"] == device.alerts.acknowledged[0]
        assert json.loads(state.data)["state"] == "dark"
        assert info.config.subjects == ["patchedge.alert.>", "patchedge.state.>"]
        assert info.state.messages == 2

    asyncio.run(run())


def test_stream_that_is_there_is_left_as_it_is(server: NatsServer) -> None:
    """A stream with other limits is used, and keeps them."""

    async def run() -> None:
        device = FakeDevice()
        async with connected(server) as (_, stream):
            await stream.add_stream(name="PATCHEDGE", subjects=["patchedge.>"], max_msgs=7, max_age=60)
            async with bridged(settings(server), device):
                for _ in range(9):
                    device.alert()
                await device.alerts.until(lambda: len(device.alerts.acknowledged) == 9)
            info = await stream.stream_info("PATCHEDGE")
        assert (info.config.max_msgs, info.config.max_age, info.config.subjects) == (7, 60, ["patchedge.>"])
        assert info.state.messages == 7

    asyncio.run(run())


def test_what_is_published_again_is_stored_once(server: NatsServer) -> None:
    """A device that gives an alert message once more, as after a restart, does not make a second one in the stream."""

    async def run() -> None:
        device = FakeDevice()
        async with connected(server) as (_, stream):
            for _ in range(2):
                device.alerts.acknowledged.clear()
                device.seq.clear()
                device.alert(alert_id="the same")
                async with bridged(settings(server), device):
                    await device.alerts.until(lambda: len(device.alerts.acknowledged) == 1)
            assert (await stream.stream_info("PATCHEDGE")).state.messages == 1

    asyncio.run(run())


@pytest.mark.slow
def test_nothing_is_lost_when_the_server_is_killed_under_load(server: NatsServer) -> None:
    """Of some hundred alerts, with the server killed three times meanwhile, each is stored once and in its order."""

    async def run() -> None:
        device = FakeDevice()
        said = [device.alert(camera=f"cam{number % CAMERAS}") for number in range(ALERTS)]
        async with bridged(settings(server), device):
            for kill in range(KILLS):
                enough = ALERTS * kill // (KILLS + 1)
                await device.alerts.until(lambda enough=enough: len(device.alerts.acknowledged) > enough)
                await asyncio.to_thread(server.end)
                assert len(device.alerts.acknowledged) < ALERTS, "it was killed when all was over"
                await asyncio.to_thread(server.start)
            await device.alerts.until(lambda: len(device.alerts.acknowledged) == ALERTS)
            async with connected(server) as (_, stream):
                count = (await stream.stream_info("PATCHEDGE")).state.messages
                bodies = [json.loads(one.data) for one in await stored(stream, "patchedge.alert.>", count)]
        for camera in {one.camera for one in said}:
            expected = [one.alert_id for one in said if one.camera == camera]
            assert [one["alert_id"] for one in bodies if one["camera"] == camera] == expected
        assert device.alerts.acknowledged == [f"v1/alert/edge/{one.camera}/{one.epoch}/{one.seq}" for one in said]

    asyncio.run(run())


@pytest.mark.slow
def test_server_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    """The bridge begins before its server: alerts are held up to the bound, of the states the newest, scores not."""
    server = NatsServer(tmp_path)

    async def run() -> None:
        device = FakeDevice()
        async with bridged(settings(server, scores=True), device):
            for _ in range(2 * IN_FLIGHT):
                device.alert()
            await device.alerts.until(lambda: device.alerts.taken == IN_FLIGHT)
            device.score()
            for state in ("live", "dark", "live", "moved"):
                device.state(state)
            await device.news.until(lambda: device.news.taken == 5)
            assert (device.alerts.taken, device.alerts.acknowledged) == (IN_FLIGHT, [])
            await asyncio.to_thread(server.start)
            await device.alerts.until(lambda: len(device.alerts.acknowledged) == 2 * IN_FLIGHT)
            async with connected(server) as (_, stream):
                states = await stored(stream, "patchedge.state.>", 1)
                info = await stream.stream_info("PATCHEDGE", subjects_filter="patchedge.state.>")
        assert json.loads(states[-1].data)["state"] in {"live", "moved"}
        assert sum((info.state.subjects or {}).values()) <= 2  # the first was on its way when the others came

    try:
        asyncio.run(run())
    finally:
        server.end()
