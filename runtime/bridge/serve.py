"""From settings to a running bridge, and back to nothing."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing

import structlog

from edge_config.bridge import Bridge
from edge_config.errors import MissingExtra
from edge_config.message import Kind
from runtime.bridge.relay import Relay
from runtime.bridge.sink import Counts, Sink
from runtime.bridge.source import Connect
from runtime.notify import Notifier

CONFIRM_S = 3.0
"""At the end confirmations are awaited for so long."""

FAREWELL_S = 1.0
"""And then the brokers have so long to hear that the bridge is off."""


def make_sinks(settings: Bridge) -> list[Sink]:
    """Set up what the settings name; nothing is connected.

    Raises:
        MissingExtra: the package for a broker is not installed.
        SettingsError: a password, credentials or certificate file cannot be used.
    """
    sinks: list[Sink] = []
    if settings.mqtt is not None:
        try:
            from runtime.bridge.mqtt import MqttSink
        except ModuleNotFoundError as error:
            raise _missing(error, "mqtt") from error
        sinks.append(MqttSink(settings.mqtt, settings.name, scores=settings.scores))
    if settings.nats is not None:
        try:
            from runtime.bridge.jetstream import NatsSink
        except ModuleNotFoundError as error:
            raise _missing(error, "nats") from error
        sinks.append(NatsSink(settings.nats, settings.name))
    return sinks


async def forward(settings: Bridge, sinks: Sequence[Sink], connect: Connect) -> None:
    """Forward until SIGTERM or SIGINT comes.

    Args:
        settings: of the bridge.
        sinks: where to.
        connect: makes the subscribers of a device.

    Raises:
        PatchedgeError: an address cannot be connected to, or a key cannot be used.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    counts = Counts()
    news: list[Kind] = ["state", "health", *(["score"] if settings.scores else [])]  # type: ignore[list-item]
    async with AsyncExitStack() as stack:
        notifier = stack.enter_context(closing(Notifier()))
        relays = []
        for device in settings.devices:
            alerts = await stack.enter_async_context(connect(device, ["alert"], settings.name))
            others = await stack.enter_async_context(connect(device, news, None))
            relays.append(Relay(alerts, others, sinks, counts))
        for sink in sinks:
            stack.push_async_callback(sink.close, FAREWELL_S)
            await sink.start()
        brokers = [sink.name for sink in sinks]
        structlog.get_logger().info("running", name=settings.name, devices=len(relays), brokers=brokers)
        notifier.ready(f"{len(relays)} devices to {', '.join(brokers)}")
        try:
            await _until(stop, relays)
        finally:
            notifier.stopping()
            await asyncio.gather(*(relay.drain(CONFIRM_S) for relay in relays))
            unconfirmed = sum(relay.in_flight for relay in relays)
            structlog.get_logger().info("ended", **counts.all(), unconfirmed=unconfirmed)


async def _until(stop: asyncio.Event, relays: Sequence[Relay]) -> None:
    """Run the relays until `stop` is set, or one of them fails."""
    stopping = asyncio.create_task(stop.wait())
    running = [asyncio.create_task(relay.run()) for relay in relays]
    await asyncio.wait([stopping, *running], return_when=asyncio.FIRST_COMPLETED)
    failed = next((task for task in running if task.done()), None)
    for task in (stopping, *running):
        task.cancel()
    await asyncio.gather(stopping, *running, return_exceptions=True)
    if failed is not None:
        failed.result()


def _missing(error: ModuleNotFoundError, extra: str) -> Exception:
    if error.name is None or error.name.partition(".")[0] == "runtime":
        return error
    return MissingExtra(f"{error.name} is not installed", remedy=f"pip install 'patchedge[{extra}]'")
