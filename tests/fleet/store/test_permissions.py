"""Credentials of a device at a real server with TLS: what they may do, and what the server refuses."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from edge_config.errors import PatchedgeError
from edge_config.fleet_errors import FleetAccessDenied
from edge_config.settings.fleet import FleetOfDevice, FleetSettings
from edge_config.wire.fleet import Assignment, DeviceReport, PullOrder, Rollout
from runtime.client.within import within
from runtime.fleet.store import objects
from runtime.fleet.store.connection import FleetConnection
from runtime.fleet.store.layout import FleetLayout, KeyBucket
from runtime.fleet.store.make import StoreLimits, make
from runtime.fleet.store.newest import read
from runtime.fleet.store.permissions import Permissions, device_permissions, new_seed, server_user
from runtime.fleet.store.signatures import sign
from runtime.fleet.store.store import FleetStore
from tests.support.brokers import NatsServer, needs_nats
from tests.support.nats_jwt import OperatorMode
from tests.support.processes import ENOUGH_S

pytestmark = [needs_nats, pytest.mark.slow]

KEY = SigningKey(bytes(range(32)))
OPERATOR = f"ed25519:{bytes(KEY.verify_key).hex()}"
LAYOUT = FleetLayout("patchedge")
EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass
class Guarded:
    """A server with TLS, where each user has a key and permissions of its own."""

    folder: Path
    ca_file: Path
    server: NatsServer

    def device(self, name: str, *groups: str, credentials: str = "") -> FleetOfDevice:
        """Return the settings of a device, by default with its own credentials."""
        return FleetOfDevice(
            servers=(f"tls://127.0.0.1:{self.server.port}",),
            operators=(OPERATOR,),
            credentials_file=str(self.folder / f"{credentials or name}.nk"),
            ca_file=str(self.ca_file),
            name=name,
            groups=groups,
        )

    def operator(self) -> FleetSettings:
        one = self.device("anna")
        return FleetSettings(servers=one.servers, credentials_file=one.credentials_file, ca_file=one.ca_file)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a certificate and its key."""
    folder = tmp_path_factory.mktemp("certificates")
    made = ("openssl", "req", "-x509", *EC, "-keyout", "key.pem", "-out", "cert.pem", "-days", "2")
    names = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    subprocess.run([*made, *names], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture(params=["nkeys", "nsc"])
def guarded(request: pytest.FixtureRequest, certificates: Path, tmp_path: Path) -> Iterator[Guarded]:
    """Yield such a server: with keys as `fleet keys` makes them, or with JWTs as `nsc` does."""
    users: dict[str, Permissions | None] = {"anna": None}
    for name, groups in (("press-3", ("press",)), ("oven-1", ("oven",))):
        users[name] = device_permissions(LAYOUT, name, groups)
    config = (with_keys if request.param == "nkeys" else with_jwts)(users, tmp_path)
    tls = f'tls {{ cert_file: "{certificates}/cert.pem", key_file: "{certificates}/key.pem" }}'
    server = NatsServer(tmp_path / "nats", f"{tls}\n{config}")
    server.start()
    yield Guarded(tmp_path, certificates / "cert.pem", server)
    server.end()


def with_keys(users: dict[str, Permissions | None], folder: Path) -> str:
    entries = []
    for name, permissions in users.items():
        seed, public = new_seed()
        write_secret(folder / f"{name}.nk", f"{seed}\n")
        entries.append(server_user(public, permissions))
    write_secret(folder / "stranger.nk", new_seed()[0])
    text = "\n".join(entries)
    return f"accounts {{ FLEET {{ jetstream: enabled, users: [\n{text}\n] }} }}"


def with_jwts(users: dict[str, Permissions | None], folder: Path) -> str:
    ours = OperatorMode()
    for name, permissions in users.items():
        ours.write(folder / f"{name}.nk", permissions)
    OperatorMode().write(folder / "stranger.nk", None)
    return ours.config()


def write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def assignment(counter: int, target: str) -> Assignment:
    return Assignment(counter=counter, target=target, root="ab" * 32, pack_sha256="cd" * 32, pack_bytes=9)


async def prepare(store: FleetStore, bundle: Path) -> None:
    """Fill the store: a pack, assignments for two devices, a report of each, a roll-out."""
    await make(store.connection, store.layout, StoreLimits(packs_bytes=64 << 20))
    await store.put_pack(bundle)
    for target in ("device:press-3", "group:press", "device:oven-1", "group:oven"):
        await store.assign(sign(assignment(await store.next_counter(), target), KEY))
    await store.say(DeviceReport(device="oven-1"))
    await store.put_rollout("r-1", sign(Rollout(id="r-1"), KEY))


def test_a_device_can_do_all_that_its_agent_does(guarded: Guarded, tiny_bundle: Path, tmp_path: Path) -> None:
    """With the permissions that `fleet keys` prints, over TLS: follow, fetch, report, upload."""
    refused: list[PatchedgeError] = []

    async def run() -> None:
        async with FleetStore.connect(guarded.operator(), patience_s=ENOUGH_S) as operator:
            await prepare(operator, tiny_bundle)
            info = await operator.put_pack(tiny_bundle)
            settings = guarded.device("press-3", "press")
            async with FleetStore.connect(settings, patience_s=ENOUGH_S) as store:
                async with aclosing(store.watch_desired("press-3", settings.groups, refused.append)) as watched:
                    for _ in range(2):
                        await within(ENOUGH_S, anext(watched))
                assert await store.fetch_pack(info, tmp_path / "pack", 1 << 30) == info.size
                await store.say(DeviceReport(device="press-3", groups=("press",)))
                order = PullOrder(counter=9, target="device:press-3", camera="top")
                await operator.order_pull(sign(order, KEY))
                async with aclosing(store.watch_pulls("press-3", refused.append)) as watched:
                    await within(ENOUGH_S, anext(watched))
                await store.put_pulled(order, tiny_bundle)
                await store.put_pulled(order, tiny_bundle)
            assert await operator.fetch_pulled(order, tmp_path / "pulled", 1 << 30) is not None
            assert set(await operator.reports()) == {"oven-1", "press-3"}

    asyncio.run(run())
    assert refused == []


def test_a_device_can_do_nothing_else(guarded: Guarded, tiny_bundle: Path, tmp_path: Path) -> None:
    """Reports, assignments and orders of others, roll-outs, packs, counters: each is refused with its own error."""
    (tmp_path / "file").write_bytes(b"swapped")

    async def read_keys(connection: FleetConnection, bucket: KeyBucket, key: str) -> None:
        await connection.call(lambda session: read(session, bucket.stream, bucket.subject(key)))

    async def run() -> None:
        async with FleetStore.connect(guarded.operator(), patience_s=ENOUGH_S) as operator:
            await prepare(operator, tiny_bundle)
            info = await operator.put_pack(tiny_bundle)
        async with FleetStore.connect(guarded.device("press-3", "press"), patience_s=ENOUGH_S) as store:
            await store.say(DeviceReport(device="press-3"))
            connection, other = store.connection, objects.PackInfo(info.bundle, "00" * 32, 7)
            order = PullOrder(counter=9, target="device:oven-1", camera="top")
            for attack in (
                store.say(DeviceReport(device="oven-1")),
                store.reports(),
                store.rollouts(),
                store.put_rollout("r-2", sign(Rollout(id="r-2"), KEY)),
                store.next_counter(),
                store.assign(sign(assignment(99, "device:press-3"), KEY)),
                store.assigned(),
                store.order_pull(sign(order, KEY)),
                store.put_pulled(order, tiny_bundle),
                read_keys(connection, LAYOUT.desired, "device.oven-1.>"),
                read_keys(connection, LAYOUT.desired, "group.oven.>"),
                read_keys(connection, LAYOUT.desired, ">"),
                objects.upload(connection, LAYOUT.packs, info.bundle, other, tmp_path / "file"),
                make(connection, FleetLayout("other"), StoreLimits()),
            ):
                with pytest.raises(FleetAccessDenied, match="these credentials may not use"):
                    await attack
            await store.say(DeviceReport(device="press-3", at_ms=2))

    asyncio.run(run())


def test_strangers_do_not_get_in(guarded: Guarded, tmp_path: Path) -> None:
    """A key that the server does not know is refused; so is a server that no known authority has signed."""

    async def run() -> None:
        settings = guarded.device("press-3", credentials="stranger")
        async with FleetStore.connect(settings, patience_s=1.0) as store:
            with pytest.raises(FleetAccessDenied, match="log in"):
                await store.say(DeviceReport(device="press-3"))
        operator = guarded.operator()
        plain = FleetSettings(servers=operator.servers, credentials_file=operator.credentials_file)
        async with FleetStore.connect(plain, patience_s=1.0) as store:
            with pytest.raises(PatchedgeError, match="certificate verify failed"):
                await store.reports()

    asyncio.run(run())
    assert not list(tmp_path.glob("*.pack"))
