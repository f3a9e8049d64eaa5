"""Attacks on the operator, by somebody who can write to the servers or owns a device: what they sign stays theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import msgspec
import pytest
from nacl.signing import SigningKey

from edge_config.fleet_errors import AssignmentForOthers, AssignmentKeyUnknown, CounterRaised, RolloutForged
from edge_config.settings.fleet import FleetSettings
from edge_config.wire.fleet import Assignment, CameraReport, DeviceReport, FleetBounds, PullOrder, Rollout
from runtime.cli.fleet_arguments import say
from runtime.client.within import within
from runtime.fleet.rollout.create import RolloutWish, create
from runtime.fleet.rollout.drive import Drive, now_ms
from runtime.fleet.rollout.operator_keys import OperatorKeys
from runtime.fleet.rollout.stages import parse_stages
from runtime.fleet.rollout.tell import Tell
from runtime.fleet.store.device_table import lines
from runtime.fleet.store.make import StoreLimits, make
from runtime.fleet.store.signatures import sign, verify, verify_pull
from runtime.fleet.store.store import FleetStore
from runtime.security.signing import public_text
from tests.support.brokers import NatsServer, needs_nats
from tests.support.processes import ENOUGH_S

KEY, STRANGER = SigningKey(bytes(range(32))), SigningKey(bytes(range(1, 33)))
OLD = "0a" * 32
BLIND = {"ignore": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}
"""Settings under which a camera never alarms again."""


@asynccontextmanager
async def operated(server: NatsServer) -> AsyncIterator[FleetStore]:
    """Yield a store with one device of the group press."""
    settings = FleetSettings(servers=(f"nats://127.0.0.1:{server.port}",))
    async with FleetStore.connect(settings, patience_s=ENOUGH_S) as store:
        await make(store.connection, store.layout, StoreLimits(packs_bytes=1 << 20))
        camera = CameraReport(camera="belt", state="live", root=OLD, active=OLD)
        await store.say(DeviceReport(device="edge-1", groups=("press",), cameras=(camera,)))
        yield store


async def begun(store: FleetStore, keys: OperatorKeys) -> Drive:
    """Return a roll-out of settings whose first stage was assigned."""
    wish = RolloutWish(
        group="press", devices=(), root="", camera="", settings={"alerts": {"min_frames": 3}}, children="keep",
        shares=parse_stages("100%"), soak_s=0.0, shadow_s=0.0, watch_s=1.0, bounds=FleetBounds(), by="anna",
    )  # fmt: skip
    rollout, _ = await create(store, keys, wish, now_ms())
    drive = Drive(store, keys, rollout, 0, Tell(lambda _: None))
    await drive.run(once=True)
    return drive


async def write(store: FleetStore, subject: str, data: bytes) -> None:
    """Write as one does who can write to the servers."""
    await store.connection.call(lambda session: session.stream.publish(subject, data))


def forged(rollout: Rollout, key: SigningKey, **changes: Any) -> bytes:
    return msgspec.json.encode(sign(msgspec.structs.replace(rollout, **changes), key))


@needs_nats
@pytest.mark.parametrize(
    ("forge", "said"),
    [
        (lambda one: msgspec.json.encode(msgspec.structs.replace(one, settings=BLIND)), "is no signed record"),
        (lambda one: forged(one, STRANGER, settings=BLIND), "is not an operator's key; if you trust who that is"),
        (lambda one: forged(one, KEY, id="another"), "is the signed record of roll-out another"),
    ],
    ids=["unsigned", "stranger", "another"],
)
def test_a_rollout_that_was_changed(server: NatsServer, forge: Callable[[Rollout], bytes], said: str) -> None:
    """A record that no operator signed as this roll-out is refused by `resume` and `rollback`, which sign nothing."""

    async def run() -> None:
        async with operated(server) as store:
            keys = OperatorKeys(KEY)
            rollout = (await begun(store, keys)).rollout
            before = await store.signed_assignments()
            await write(store, store.layout.rollouts.subject(rollout.id), forge(rollout))
            with pytest.raises(RolloutForged, match=said):
                await keys.rollout(store, rollout.id)
            assert await store.signed_assignments() == before

    asyncio.run(run())


@needs_nats
def test_settings_that_nobody_signed_are_no_way_back(server: NatsServer) -> None:
    """An assignment forged at the servers is not what `rollback` goes back to; one by an unknown key stops `assign`."""

    async def run() -> None:
        async with operated(server) as store:
            planted = Assignment(counter=1, target="device:edge-1", settings=BLIND)
            honest, other = sign(planted, KEY), sign(planted, STRANGER)
            fake = msgspec.structs.replace(honest, signature=other.signature)
            subject = store.layout.desired.subject("device.edge-1.=.settings")
            await write(store, subject, msgspec.json.encode(fake))
            await store.raise_counter(1)
            keys = OperatorKeys(KEY)
            drive = await begun(store, keys)
            await drive.roll_back("by anna")
            newest = (await store.assigned())[-1]
            assert (newest.target, newest.settings) == ("device:edge-1", {})

            await write(store, subject, msgspec.json.encode(other))
            said = (
                r"what device:edge-1 has: signed by ed25519:.* else `nats kv del patchedge-desired device.edge-1.=.se"
            )
            with pytest.raises(AssignmentKeyUnknown, match=said):
                await begun(store, OperatorKeys(KEY))
            trusting = OperatorKeys(KEY, [public_text(STRANGER)])
            assert (await begun(store, trusting)).rollout.settings_before == {"edge-1": {"": BLIND}}

    asyncio.run(run())


@needs_nats
@pytest.mark.parametrize("last", [str(2**53 - 1), "9" * 4000], ids=["last", "long"])
def test_a_counter_that_was_raised(server: NatsServer, last: str) -> None:
    """The last number that devices take is not used up: CounterRaised, and `init --counter` replaces it."""

    async def run() -> None:
        async with operated(server) as store:
            await (await begun(store, OperatorKeys(KEY))).roll_back("by anna")
            await write(store, store.layout.desired.subject("counter"), last.encode())
            with pytest.raises(CounterRaised, match="and 2 in the newest assignment that operators signed"):
                await begun(store, OperatorKeys(KEY))
            assert await store.raise_counter(500) == 500
            assert await OperatorKeys(KEY).next_counter(store) == 501

    asyncio.run(run())


@needs_nats
@pytest.mark.parametrize(
    "field",
    [
        b'"reason":"\xff"',
        b'"new":' + b"[" * 50_000 + b"]" * 50_000,
        b'"groups":["press"],"cameras":[{"camera":"x; rm -rf ~ #"}]',
        b'"groups":["press"],"cameras":[{"camera":"belt","root":"*"}]',
    ],
    ids=["bytes", "deep", "camera", "root"],
)
def test_a_report_that_cannot_be_read(server: NatsServer, field: bytes) -> None:
    """What one device says cannot keep the operator from seeing the others, or from taking something back."""

    async def run() -> None:
        async with operated(server) as store:
            await write(store, store.layout.said("evil"), b'{"device":"evil",' + field + b"}")
            assert list(await store.reports()) == ["edge-1"]
            async with aclosing(store.watch_reports()) as reports:
                assert (await within(ENOUGH_S, anext(reports))).device == "edge-1"
            drive = await begun(store, OperatorKeys(KEY))
            assert (await drive.roll_back("by anna")).state == "rolled back"

    asyncio.run(run())


def test_a_report_with_commands_for_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """What a device puts into its report for the operator's terminal to do is shown, and not done."""
    report = DeviceReport(device="evil", reason="fine\x1b]0;owned\x07\x1b[2J\nedge-1  in place")
    say(*lines([report], 0))
    said = capsys.readouterr().out
    assert "fine\\x1b]0;owned\\x07\\x1b[2J\\nedge-1  in place" in said
    assert not set(said) & {"\x1b", "\x07"}


def test_what_was_signed_for_another_fleet() -> None:
    """A trial fleet with the same names and the same operator: its assignments count for nothing in the plant."""
    keys = OperatorKeys(KEY, fleet="trial")
    targets, trusted = {"group:press", "device:edge-1"}, {public_text(KEY)}
    assigned = keys.sign(Assignment(counter=9, target="group:press", settings=BLIND, fleet=keys.fleet))
    order = keys.sign(PullOrder(counter=9, target="device:edge-1", camera="belt", fleet=keys.fleet))
    assert verify(assigned, trusted, targets, "trial").counter == 9
    for check, signed in ((verify, assigned), (verify_pull, order)):
        with pytest.raises(AssignmentForOthers, match="is for the fleet `trial`, not for `plant`"):
            check(signed, trusted, targets, "plant")
