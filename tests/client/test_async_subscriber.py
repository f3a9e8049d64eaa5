"""The subscriber for asyncio, over real sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.client import in_flight
from runtime.client.async_subscriber import AsyncSubscriber
from runtime.client.received import Received
from tests.support.fakes.answering import Device

WAIT_S = 20.0
"""For a message on this machine: more means that it is lost."""

TURN_S = 0.05

MAX_CPU = 0.5
"""Share of a second that waiting may cost; a loop that spins takes all of it."""


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """Yield a device."""
    with Device(tmp_path) as device:
        yield device


def connect(device: Device, **options: object) -> AsyncSubscriber:
    """Connect, and wait until what is published arrives."""
    subscriber = AsyncSubscriber(device.events, control=device.control, kinds=["alert"], **options)
    device.wait_subscribed(subscriber._follower.prefixes)
    return subscriber


async def take(subscriber: AsyncSubscriber, count: int) -> list[Received]:
    received = [await subscriber.receive(WAIT_S) for _ in range(count)]
    assert None not in received
    return received


async def joined(subscriber: AsyncSubscriber) -> None:
    """Let the subscriber work until it knows from where on it reads."""
    while subscriber._follower._cursor._row is None:
        assert await subscriber.receive(TURN_S) is None


async def until(look: Callable[[], bool]) -> None:
    """Let the tasks work until something is the case."""
    end_s = time.monotonic() + WAIT_S
    while not look():
        assert time.monotonic() < end_s
        await asyncio.sleep(TURN_S)


def test_messages_come_and_are_acknowledged(device: Device) -> None:
    """Iterating gives what is pending and what is live; what is acknowledged is known to the device at the end."""
    device.alert("a", "one", "end")

    async def follow() -> list[str]:
        seen = []
        async with connect(device, name="hall") as subscriber:
            async for received in subscriber:
                seen.append(received.message.alert_id)
                await subscriber.acknowledge(received)
                if len(seen) == 1:
                    device.alert("a", "lost", "end")
                    device.say(device.alert("a", "three", "end"))
                if len(seen) == 3:
                    break
        return seen

    assert asyncio.run(follow()) == ["one", "lost", "three"]
    assert [ack.alert_id for ack in device.acks] == ["one", "lost", "three"]


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(0, 0.004), min_size=20, max_size=60))
def test_cancelled_receive_loses_nothing(tmp_path_factory: pytest.TempPathFactory, waits: list[float]) -> None:
    """Whenever `receive` is cancelled, the next call gives the message that would have come."""

    async def follow(device: Device) -> list[int]:
        seen: list[int] = []
        async with connect(device) as subscriber:
            await joined(subscriber)
            for wait_s in waits:
                task = asyncio.ensure_future(subscriber.receive())
                device.say(device.alert("a", "x", "start"))
                await asyncio.sleep(wait_s)
                task.cancel()
                try:
                    received = await task
                except asyncio.CancelledError:
                    continue
                seen.append(received.message.seq)
            seen.extend(one.message.seq for one in await take(subscriber, len(waits) - len(seen)))
        return seen

    with Device(tmp_path_factory.mktemp("device")) as device:
        assert asyncio.run(follow(device)) == list(range(1, len(waits) + 1))


def test_silence_is_none(device: Device) -> None:
    """`receive` with a time-out gives None where nothing comes, and so does one of a device that is not there."""

    async def follow() -> list[Received | None]:
        async with connect(device) as one, AsyncSubscriber("ipc:///tmp/patchedge-nobody") as other:
            return [await one.receive(TURN_S), await other.receive(TURN_S)]

    assert asyncio.run(follow()) == [None, None]


@pytest.mark.slow
def test_silent_control_socket_is_connected_anew(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a task that waits for messages and one that acknowledges, a lost request is asked again on a new socket."""
    monkeypatch.setattr(in_flight, "ANSWER_S", 0.3)
    for number in range(300):
        device.alert("a", f"alert-{number}", "end")

    async def follow() -> None:
        async with connect(device, name="hall") as subscriber:
            received = await take(subscriber, 300)
            device.silent = True
            waiting = asyncio.ensure_future(subscriber.receive())
            acknowledging = asyncio.ensure_future(acknowledge(subscriber, received))
            await until(lambda: subscriber._follower.asking.failures >= 1)
            device.silent = False
            await asyncio.wait_for(acknowledging, WAIT_S)
            await until(lambda: len({ack.alert_id for ack in device.acks}) == 300)
            device.say(device.alert("a", "last", "end"))
            assert (await asyncio.wait_for(waiting, WAIT_S)).message.alert_id == "last"

    async def acknowledge(subscriber: AsyncSubscriber, received: list[Received]) -> None:
        for one in received:
            await subscriber.acknowledge(one)

    asyncio.run(follow())


@pytest.mark.slow
def test_message_that_nobody_takes_costs_nothing(device: Device) -> None:
    """While no task waits for messages, one that has arrived does not keep the event loop busy."""

    async def follow() -> float:
        async with connect(device) as subscriber:
            await joined(subscriber)
            await subscriber.receive(TURN_S)
            device.say(device.alert("a", "x", "start"))
            begin_s = time.thread_time()
            await asyncio.sleep(1)
            return time.thread_time() - begin_s

    assert asyncio.run(follow()) < MAX_CPU
