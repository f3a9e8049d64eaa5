"""The verbs of roll-outs, with a store in memory: what they print, and how they end."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
from nacl.signing import SigningKey

from edge_config.bundle import files as bundles
from edge_config.bundle import pack, signature
from edge_config.errors import BundleNoChild, SettingsError, TargetExists, UsageError
from edge_config.fleet_errors import FleetUnavailable, PackMissing, RolloutStopped
from edge_config.settings.fleet import FleetSettings
from edge_config.wire.fleet import PullOrder
from runtime.cli import fleet_assign, fleet_status
from runtime.fleet.rollout.drive import now_ms
from runtime.fleet.rollout.operator_keys import OperatorKeys
from runtime.fleet.rollout.pull import PullWish, pull
from runtime.security.signing import sign, write_signature
from tests.fleet.rollout.fleet_of import NEW, OLD, names
from tests.support.fakes.fleet_devices import FakeDevice
from tests.support.fakes.fleet_store import FakeFleetStore
from tests.support.fakes.learner import child as grown
from tests.support.forge import edit_arrays, reseal

KEY, DEVICE_KEY = SigningKey(bytes(range(32))), SigningKey(bytes(range(1, 33)))


@pytest.fixture
def settings(tmp_path: Path) -> FleetSettings:
    """Return the settings of an operator with a key."""
    path = tmp_path / "anna"
    path.write_text(f"patchedge-signing-key-v1 {bytes(KEY).hex()}\n")
    path.chmod(0o600)
    return FleetSettings(servers=("nats://broker:4222",), signing_key=str(path), name="anna")


def parsed(*words: str) -> tuple[argparse.Namespace, ModuleType]:
    """Return the arguments of a verb, and the module that does it."""
    parser = argparse.ArgumentParser()
    actions = parser.add_subparsers(dest="action")
    for module in (fleet_assign, fleet_status):
        for name in module.ACTIONS:
            module.add_action(name, actions.add_parser(name))
    args = parser.parse_args(words)
    return args, next(module for module in (fleet_assign, fleet_status) if args.action in module.ACTIONS)


Verb = Callable[..., Coroutine[None, None, int]]


@asynccontextmanager
async def fleet(settings: FleetSettings, *devices: FakeDevice) -> AsyncIterator[tuple[FakeFleetStore, Verb]]:
    """Run devices, and yield the store and a function that runs a verb."""
    store = FakeFleetStore()
    for root in (OLD, NEW):
        store.hold(root, root.encode())
    for device in devices:
        device.at_ms = now_ms()
        await store.say(device.report())
    tasks = [asyncio.create_task(device.act(store)) for device in devices]

    async def verb(*words: str) -> int:
        args, module = parsed(*words)
        return int(await module.run_action(args, settings, store))

    try:
        yield store, verb
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def press(count: int) -> list[FakeDevice]:
    return [FakeDevice(name, ("press",), {"belt": OLD}) for name in names(count)]


def test_assign_status_rollback(settings: FleetSettings, capsys: pytest.CaptureFixture[str]) -> None:
    """A roll-out by its default stages, its status as a table and as JSON, and the way back without naming it."""

    async def test() -> None:
        async with fleet(settings, *press(20)) as (store, verb):
            assert await verb("assign", "--group", "press", "--bundle", NEW) == 0
            said = capsys.readouterr().out.splitlines()
            (rollout,) = await store.rollouts()
            assert said[0] == f"roll-out {rollout}: bundle {NEW[:12]} to 20 devices of group press, in 3 stages"
            assert said[1] == "stage 1 of 3: 1 device: edge-001"
            assert said[-1] == f"roll-out {rollout}: done, in place on 20 devices"
            assert await verb("status", rollout, "--json") == 0
            told = json.loads(capsys.readouterr().out)
            assert {camera["wanted"] for device in told["devices"] for camera in device["cameras"]} == {NEW}
            assert await verb("rollback") == 0
            assert (
                f"roll-out {rollout}: rolled back: taken back by anna; going back: edge-001" in capsys.readouterr().out
            )
            with pytest.raises(UsageError, match="no roll-out that could be taken back"):
                await verb("rollback")

    asyncio.run(test())


def test_a_stop_has_its_exit_code(settings: FleetSettings) -> None:
    """A roll-out that stopped ends with 75, and says which device, why, and where it still is."""

    async def test() -> None:
        devices = press(4)
        devices[1].refuses = {NEW: "golden frame 2 scores 0.4 apart"}
        async with fleet(settings, *devices) as (store, verb):
            said = r"stopped: edge-002 refused: golden frame 2 scores 0.4 apart; going back: edge-002; edge-001 keep it"
            with pytest.raises(RolloutStopped, match=said) as stopped:
                await verb("assign", "--group", "press", "--bundle", NEW, "--stages", "1,2,100%")
            assert stopped.value.exit_code == 75
            (rollout,) = await store.rollouts()
            with pytest.raises(RolloutStopped, match=said):
                await verb("resume", rollout)

    asyncio.run(test())


def test_pause_resume_detach(settings: FleetSettings, capsys: pytest.CaptureFixture[str]) -> None:
    """Each call with --detach does what is due and ends; a paused roll-out goes on with `resume` only."""

    async def test() -> None:
        devices = press(3)
        async with fleet(settings, *devices) as (store, verb):
            whole = ("assign", "--group", "press", "--bundle", NEW, "--stages", "1,100%", "--soak", "1h", "--detach")
            assert await verb(*whole) == 0
            (rollout,) = await store.rollouts()
            assert f"`patchedge fleet resume {rollout}` goes on" in capsys.readouterr().out
            assert await verb("pause", rollout) == 0
            with pytest.raises(UsageError, match=f"{rollout} of these devices is paused"):
                await verb(*whole)
            with pytest.raises(UsageError, match="it is paused"):
                await verb("pause", rollout)
            assert await verb("resume", rollout, "--detach") == 0
            assert [device.roots["belt"] for device in devices] == [NEW, OLD, OLD]
            with pytest.raises(UsageError, match="no such roll-out"):
                await verb("resume", "r-9")

    asyncio.run(test())


def test_settings_and_named_devices(settings: FleetSettings, tmp_path: Path) -> None:
    """Settings go to named devices without a bundle; without either there is nothing to assign."""
    (tmp_path / "calm.yaml").write_text("threshold: 2.5\n")

    async def test() -> None:
        devices = press(3)
        async with fleet(settings, *devices) as (_, verb):
            some = ("--device", "edge-001", "--device", "edge-003", "--stages", "100%")
            assert await verb("assign", *some, "--settings", str(tmp_path / "calm.yaml")) == 0
            calm = {"alerts": {"threshold": 2.5}}
            assert [device.settings for device in devices] == [calm, None, calm]
            with pytest.raises(UsageError, match="nothing to assign"):
                await verb("assign", *some)

    asyncio.run(test())


def test_a_signature_needs_a_key(settings: FleetSettings) -> None:
    """Settings without a key are enough to look, and not to assign."""
    bare = FleetSettings(servers=settings.servers)

    async def test() -> None:
        async with fleet(bare, *press(1)) as (_, verb):
            assert await verb("status") == 0
            with pytest.raises(SettingsError, match="key `signing_key` is missing"):
                await verb("assign", "--group", "press", "--bundle", NEW)

    asyncio.run(test())


@pytest.mark.parametrize("text", ["30", "31d", "1w", "m", "1:30"])
def test_times(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A time has a unit; anything else is refused with an example."""
    with pytest.raises(SystemExit):
        parsed("assign", "--group", "press", "--bundle", NEW, "--soak", text)
    assert "such as 90s, 30m, 2h or 1d" in capsys.readouterr().err
    assert parsed("assign", "--group", "press", "--bundle", NEW, "--soak", "30m")[0].soak == 1800.0


@pytest.fixture(scope="module")
def child(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle that was learnt from the tiny one on a device, signed by the device."""
    target = tmp_path_factory.mktemp("child") / "child.bundle"
    grown(tiny_bundle, target, camera="belt", pictures=("1.png",))
    write_signature(target, (target / bundles.MANIFEST).read_bytes(), DEVICE_KEY)
    return target


def holds(store: FakeFleetStore, bundle: Path, folder: Path) -> str:
    """Have the store hold the pack of a bundle; return its id."""
    pack.pack(bundles.read(bundle), folder / "held.pack")
    return store.hold(bundles.read(bundle).id, (folder / "held.pack").read_bytes()).bundle


def test_a_lesson_travels_from_one_device_to_all(
    settings: FleetSettings, child: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pull asks the device by a signed order; adopt wants the operator's signature, and assigns the child."""
    file = tmp_path / "child.pack"

    async def uploads(store: FakeFleetStore) -> None:
        async for signed in store.watch_pulls("edge-001"):
            await store.put_pulled(msgspec.json.decode(signed.payload, type=PullOrder), child)

    async def test() -> None:
        root = bundles.read(tiny_bundle).id
        devices = [FakeDevice(name, ("press",), {"belt": root}) for name in names(3)]
        async with fleet(settings, *devices) as (store, verb):
            holds(store, tiny_bundle, tmp_path)
            uploading = asyncio.create_task(uploads(store))
            assert await verb("pull", "edge-001", "--out", str(file)) == 0
            uploading.cancel()
            learnt = bundles.read(child).id
            assert (
                f"bundle {learnt}: round 1 of camera belt from {root[:12]}, 1 picture in it" in capsys.readouterr().out
            )
            whom = (str(file), "--group", "press", "--stages", "100%")
            with pytest.raises(UsageError, match=r"is signed by ed25519:\w+, the key of a device; .*`--sign`"):
                await verb("adopt", *whom)
            assert await verb("adopt", *whom, "--sign") == 0
            assert f"all of its root {root[:12]}, which nobody has signed; threshold 61" in capsys.readouterr().out
            assert {device.roots["belt"] for device in devices} == {learnt}
            (tmp_path / "stored.pack").write_bytes(store.packs[learnt])
            stored = pack.unpack(tmp_path / "stored.pack", tmp_path / "stored.bundle")
            text = bundles.read_signature(stored.path)
            assert text is not None
            assert signature.decode(text, "").key == f"ed25519:{bytes(KEY.verify_key).hex()}"
            with pytest.raises(TargetExists):
                await verb("pull", "edge-001", "--out", str(file))

    asyncio.run(test())


def with_another_graph(child: Path) -> None:
    with (child / bundles.MODEL).open("ab") as stream:
        stream.write(b"\0")
    reseal(child)


def with_another_bank(child: Path) -> None:
    edit_arrays(child / bundles.BANK, lambda found: {"bank": found["bank"][::-1].copy()})
    reseal(child)


@pytest.mark.parametrize("forge", [with_another_graph, with_another_bank])
def test_adopt_does_not_sign_what_a_device_made_up(
    settings: FleetSettings, child: Path, tiny_bundle: Path, tmp_path: Path, forge: Callable[[Path], None]
) -> None:
    """What claims to be learnt from the root, and has not all of it, is refused, although the device signed it."""
    evil = Path(shutil.copytree(child, tmp_path / "evil.bundle"))
    forge(evil)
    write_signature(evil, (evil / bundles.MANIFEST).read_bytes(), DEVICE_KEY)
    pack.pack(bundles.read(evil), tmp_path / "evil.pack")

    async def test() -> None:
        devices = [FakeDevice("edge-1", ("press",), {"belt": bundles.read(tiny_bundle).id})]
        async with fleet(settings, *devices) as (store, verb):
            with pytest.raises(PackMissing, match="is not in the store"):
                await verb("adopt", str(tmp_path / "evil.pack"), "--group", "press", "--sign")
            holds(store, tiny_bundle, tmp_path)
            held = set(store.packs)
            with pytest.raises(BundleNoChild, match="its root"):
                await verb("adopt", str(tmp_path / "evil.pack"), "--group", "press", "--sign")
            assert (set(store.packs), devices[0].served) == (held, [])

    asyncio.run(test())


def test_adopt_wants_the_same_root(settings: FleetSettings, child: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    """A bundle that was learnt from another root, or on no device, is not adopted."""
    pack.pack(bundles.read(child), tmp_path / "child.pack")
    plain = tmp_path / "plain.bundle"
    shutil.copytree(tiny_bundle, plain)
    sign(plain, KEY)
    pack.pack(bundles.read(plain), tmp_path / "plain.pack")

    async def test() -> None:
        devices = [FakeDevice("edge-1", ("press",), {"belt": NEW})]
        async with fleet(settings, *devices) as (store, verb):
            root = holds(store, tiny_bundle, tmp_path)
            said = f"was learnt from bundle {root[:12]}, and these devices run {NEW[:12]}"
            with pytest.raises(UsageError, match=said):
                await verb("adopt", str(tmp_path / "child.pack"), "--group", "press", "--sign")
            with pytest.raises(UsageError, match="was not learnt on a device"):
                await verb("adopt", str(tmp_path / "plain.pack"), "--group", "press")

    asyncio.run(test())


def test_pull_from_where_there_is_nothing(settings: FleetSettings, tmp_path: Path) -> None:
    """A device that is unknown, off, silent or has several cameras is named, and nothing is written."""
    keys = OperatorKeys(KEY)

    async def test() -> None:
        device = FakeDevice("edge-1", ("press",), {"belt": NEW, "lid": NEW})
        async with fleet(settings, device) as (store, _):
            for wish, kind, said in [
                (("edge-2", "belt"), UsageError, "no device edge-2 has ever reported"),
                (("edge-1", ""), UsageError, "has several cameras; there are belt, lid"),
                (("edge-1", "belt"), FleetUnavailable, "uploaded nothing in 0 s"),
            ]:
                with pytest.raises(kind, match=said):
                    await pull(store, keys, PullWish(*wish, "", tmp_path / "x.pack", "anna"), 1, patience_s=0.0)
            device.at_ms -= 10**6
            await store.say(device.report())
            with pytest.raises(FleetUnavailable, match="is off"):
                await pull(store, keys, PullWish("edge-1", "belt", "", tmp_path / "x.pack", "anna"), 1)
            assert not (tmp_path / "x.pack").exists()

    asyncio.run(test())
