"""Start the bridge from settings, and shut it down."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from contextlib import closing
from typing import Final

import structlog

from edge_config.extra import needs_extra
from edge_config.settings.bridge import Bridge
from edge_config.wire.messages import Kind
from runtime.bridge.relay import Relay
from runtime.bridge.sink import Counts, Sink
from runtime.bridge.source import Connect
from runtime.client.async_subscriber import AsyncSubscriber
from runtime.monitoring.systemd import Notifier

NEWS: Final[tuple[Kind, ...]] = ("state", "health")
"""Kinds that are read beside the alerts."""

SCORED: Final[tuple[Kind, ...]] = (*NEWS, "score")

DRAIN_S = 3.0
"""Time-out at the end for confirmations."""

CLOSE_S = 1.0
"""Time-out after that for telling the brokers that the bridge is off."""


def make_sinks(settings: Bridge) -> list[Sink]:
    """Set up what the settings name; nothing is connected.

    Raises:
        MissingExtra: the package for a broker is not installed.
        SettingsError: a password, credentials or certificate file cannot be used.
    """
    sinks: list[Sink] = []
    if settings.mqtt is not None:
        with needs_extra("mqtt"):
            from runtime.bridge.mqtt import MqttSink
        sinks.append(MqttSink(settings.mqtt, settings.name, scores=settings.scores))
    if settings.nats is not None:
        with needs_extra("nats"):
            from runtime.bridge.jetstream import NatsSink
        sinks.append(NatsSink(settings.nats, settings.name))
    return sinks


def summary(settings: Bridge, sinks: Sequence[Sink]) -> str:
    """Return in a few words what is forwarded where."""
    count = len(settings.devices)
    return f"{count} device{'' if count == 1 else 's'} to {', '.join(sink.name for sink in sinks)}"


async def forward_until_signal(settings: Bridge, sinks: Sequence[Sink], connect: Connect) -> None:
    """Forward until SIGTERM or SIGINT comes; arguments and errors are those of `forward`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await forward(settings, sinks, connect, stop)


async def forward(settings: Bridge, sinks: Sequence[Sink], connect: Connect, stop: asyncio.Event) -> None:
    """Forward until `stop` is set, and a few seconds longer where confirmations are missing.

    Args:
        settings: of the bridge.
        sinks: where to.
        connect: makes the subscribers of a device.
        stop: ends it.

    Raises:
        PatchedgeError: an address cannot be connected to, or a key cannot be used.
    """
    counts = Counts()
    sources: list[AsyncSubscriber] = []
    relays: list[Relay] = []
    for sink in sinks:
        await sink.start()
    with closing(Notifier()) as notifier:
        try:
            for device in settings.devices:
                sources.append(alerts := connect(device, ("alert",), settings.name))
                sources.append(news := connect(device, SCORED if settings.scores else NEWS, None))
                relays.append(Relay(alerts, news, sinks, counts))
            brokers = [sink.name for sink in sinks]
            structlog.get_logger().info("running", name=settings.name, devices=len(relays), brokers=brokers)
            notifier.ready(summary(settings, sinks))
            await _until(stop, relays)
        finally:
            notifier.stopping()
            await asyncio.gather(*(relay.drain(DRAIN_S) for relay in relays))
            await asyncio.gather(*(sink.close(CLOSE_S) for sink in sinks), *(source.close() for source in sources))
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
