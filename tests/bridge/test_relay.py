"""What becomes of messages between a device and brokers that a test plays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from edge_config.errors import AddressUnavailable, MessageError
from edge_config.wire.messages import AlertMessage, HealthMessage, ScoreMessage, StateMessage
from runtime.bridge.latest import Latest
from runtime.bridge.newer import Moment, Newest
from runtime.bridge.relay import Relay
from runtime.bridge.sink import Counts, Sink
from tests.support.fakes.bridged_device import FakeDevice, FakeSource, Given
from tests.support.processes import ENOUGH_S

BOUND = 4


class FakeSink:
    """Confirms an alert message when the test says so."""

    name = "fake"

    def __init__(self) -> None:
        self.alerts: dict[str, asyncio.Future[None]] = {}
        self.states: list[str] = []
        self.devices: list[tuple[str, bool]] = []
        self.takes_scores = True
        self.lost_once = asyncio.Event()

    async def start(self) -> None:
        pass

    async def alert(self, _said: AlertMessage, _parts: Sequence[bytes], key: str) -> None:
        self.alerts[key] = asyncio.get_running_loop().create_future()
        await self.alerts[key]

    def state(self, said: StateMessage, _key: str) -> None:
        self.states.append(said.state)

    async def score(self, _said: ScoreMessage) -> bool:
        return self.takes_scores

    def health(self, said: HealthMessage) -> None:
        self.devices.append((said.device, True))

    def lost(self, device: str) -> None:
        self.devices.append((device, False))
        self.lost_once.set()

    async def close(self, timeout_s: float) -> None:
        pass

    def confirm(self, key: str) -> None:
        self.alerts[key].set_result(None)


Body = Callable[[FakeDevice, Relay, Counts], Awaitable[None]]


def relay(sinks: Sequence[Sink], body: Body) -> None:
    """Run a relay in a loop of its own while `body` runs, and drain it."""

    async def run() -> None:
        device, counts = FakeDevice(), Counts()
        relay = Relay(device.alerts, device.news, sinks, counts, BOUND)
        running = asyncio.create_task(relay.run())
        await body(device, relay, counts)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await relay.drain(0)

    asyncio.run(asyncio.wait_for(run(), ENOUGH_S))


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_alert_waits_for_every_broker() -> None:
    """An alert is acknowledged when both brokers have it, not before."""
    one, other = FakeSink(), FakeSink()

    async def body(device: FakeDevice, _relay: Relay, counts: Counts) -> None:
        key = Given(device.alert()).key
        await settled()
        one.confirm(key)
        await settled()
        assert device.alerts.acknowledged == []
        other.confirm(key)
        await settled()
        assert device.alerts.acknowledged == [key]
        assert counts.alerts == 1

    relay([one, other], body)


def test_acknowledgements_are_in_order() -> None:
    """A message that is confirmed early is acknowledged after those before it, since it stands for them too."""
    sink = FakeSink()

    async def body(device: FakeDevice, _relay: Relay, _counts: Counts) -> None:
        keys = [Given(device.alert()).key for _ in range(3)]
        await settled()
        sink.confirm(keys[2])
        sink.confirm(keys[1])
        await settled()
        assert device.alerts.acknowledged == []
        sink.confirm(keys[0])
        await settled()
        assert device.alerts.acknowledged == keys

    relay([sink], body)


def test_no_more_are_taken_than_may_be_under_way() -> None:
    """With a broker that confirms nothing the device keeps its alerts; each that is confirmed makes room for one."""
    sink = FakeSink()

    async def body(device: FakeDevice, relay: Relay, _counts: Counts) -> None:
        keys = [Given(device.alert()).key for _ in range(3 * BOUND)]
        await settled()
        assert (device.alerts.taken, relay.in_flight) == (BOUND, BOUND)
        sink.confirm(keys[0])
        await settled()
        assert (device.alerts.taken, relay.in_flight) == (BOUND + 1, BOUND)
        device.state("dark")
        device.score()
        await settled()
        assert sink.states == ["dark"]

    relay([sink], body)


def test_what_is_under_way_at_the_end_is_waited_for() -> None:
    """`drain` returns as soon as the last is acknowledged."""
    sink = FakeSink()

    async def run() -> None:
        device = FakeDevice()
        relay = Relay(device.alerts, device.news, [sink], Counts(), BOUND)
        running = asyncio.create_task(relay.run())
        keys = [Given(device.alert()).key for _ in range(2)]
        await settled()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        draining = asyncio.create_task(relay.drain(ENOUGH_S))
        await settled()
        assert not draining.done()
        for key in keys:
            sink.confirm(key)
        await draining
        assert (device.alerts.acknowledged, relay.in_flight) == (keys, 0)

    asyncio.run(asyncio.wait_for(run(), ENOUGH_S / 2))


def test_device_that_cannot_be_told_gives_it_again() -> None:
    """An acknowledgement that fails is counted, and the next alerts go on."""
    sink = FakeSink()

    class Deaf(FakeSource):
        async def acknowledge(self, received: Given, /) -> None:
            if received.message.seq == 1:
                raise AddressUnavailable("no answer")
            await super().acknowledge(received)

    async def body(device: FakeDevice, relay: Relay, counts: Counts) -> None:
        relay._alerts = device.alerts = Deaf()
        keys = [Given(device.alert()).key for _ in range(2)]
        await settled()
        for key in keys:
            sink.confirm(key)
        await settled()
        assert device.alerts.acknowledged == keys[1:]
        assert (counts.alerts, counts.unacknowledged, relay.in_flight) == (2, 1, 0)

    relay([sink], body)


def test_damaged_messages_are_passed_over() -> None:
    """What cannot be read is counted, and what comes after it is forwarded."""
    sink = FakeSink()

    class Damaged(FakeSource):
        async def receive(self) -> Given:
            given = await super().receive()
            if given.message.state == "failed":
                raise MessageError("damaged message")
            return given

    async def body(device: FakeDevice, relay: Relay, counts: Counts) -> None:
        relay._news = device.news = Damaged()
        device.state("failed")
        device.state("live")
        await settled()
        assert (sink.states, counts.damaged) == (["live"], 1)

    relay([sink], body)


def test_old_states_are_not_brought_back() -> None:
    """A replay that comes after the present state is left out."""
    sink = FakeSink()

    async def body(device: FakeDevice, _relay: Relay, counts: Counts) -> None:
        device.state("dark")
        old = device.news.waiting.get_nowait()
        device.state("live")
        device.news.waiting.put_nowait(old)
        await settled()
        assert (sink.states, counts.states) == (["live"], 1)

    relay([sink], body)


def test_scores_that_are_not_taken_are_counted() -> None:
    """A score is sent or dropped, and each is counted for each broker."""
    one, other = FakeSink(), FakeSink()
    other.takes_scores = False

    async def body(device: FakeDevice, _relay: Relay, counts: Counts) -> None:
        device.score()
        await settled()
        assert (counts.scores, counts.scores_dropped) == (1, 1)

    relay([one, other], body)


def test_device_is_lost_when_its_heart_stops() -> None:
    """After three heart-beats without a word the brokers are told, once."""
    sink = FakeSink()

    async def body(device: FakeDevice, _relay: Relay, _counts: Counts) -> None:
        device.health(heartbeat_s=0.01)
        await sink.lost_once.wait()
        device.health(heartbeat_s=3600)
        await settled()
        assert sink.devices == [("edge", True), ("edge", False), ("edge", True)]

    relay([sink], body)


def test_failure_of_a_broker_ends_the_bridge() -> None:
    """An error that nobody foresaw ends it, to be started again, instead of leaving it silent."""

    class Broken(FakeSink):
        async def alert(self, _said: AlertMessage, _parts: Sequence[bytes], _key: str) -> None:
            raise LookupError("unforeseen")

    async def run() -> None:
        device = FakeDevice()
        relay = Relay(device.alerts, device.news, [Broken()], Counts(), BOUND)
        device.alert()
        done = await asyncio.gather(relay.run(), return_exceptions=True)
        await relay.drain(0)
        assert [type(one) for one in done] == [LookupError]
        assert device.alerts.acknowledged == []

    asyncio.run(asyncio.wait_for(run(), ENOUGH_S))


def test_latest_sends_the_newest_of_what_waited() -> None:
    """While one value is on its way the others replace each other, and all who wait for them are told at once."""

    async def run() -> None:
        sent: list[tuple[str, int]] = []
        gate = asyncio.Event()

        async def send(key: str, value: int) -> None:
            sent.append((key, value))
            await gate.wait()

        latest = Latest(send)
        first = latest.put("a", 1)
        await settled()
        later = [latest.put("a", value) for value in (2, 3, 4)]
        latest.put("b", 1)
        await settled()
        assert sent == [("a", 1), ("b", 1)]
        assert not first.done()
        gate.set()
        await asyncio.gather(first, *later)
        assert sent == [("a", 1), ("b", 1), ("a", 4)]
        await latest.close()

    asyncio.run(asyncio.wait_for(run(), ENOUGH_S))


def test_newest_goes_by_the_count_and_over_restarts_by_the_clock() -> None:
    """Within one run of the device `seq` decides, whatever its clock did; between two runs the clock does."""
    newest = Newest()
    assert newest.take("edge", "cam1", Moment("a", 5, 100))
    assert newest.take("edge", "cam1", Moment("a", 5, 100))
    assert not newest.take("edge", "cam1", Moment("a", 4, 900))
    assert newest.take("edge", "cam1", Moment("a", 6, 50))
    assert not newest.take("edge", "cam1", Moment("b", 1, 40))
    assert newest.take("edge", "cam1", Moment("b", 1, 60))
    assert newest.take("edge", "cam2", Moment("a", 1, 1))
