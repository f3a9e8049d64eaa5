"""Start the agent from the settings of its device, and shut it down."""

from __future__ import annotations

import asyncio
import fcntl
import os
import secrets
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import structlog
import zmq

from edge_config.errors import SettingsError, UnavailableError
from edge_config.installed import version
from edge_config.saving import writing
from edge_config.settings.device import Settings
from edge_config.settings.fleet import FleetOfDevice
from runtime.client.requester import DeviceRequester
from runtime.fleet.agent.agent import Agent
from runtime.fleet.agent.control import ControlRuntime
from runtime.fleet.agent.core.reports import ThisDevice
from runtime.fleet.agent.desired import Assigned
from runtime.fleet.agent.kept import KeptFile
from runtime.fleet.agent.packs import Packs
from runtime.fleet.agent.pulls import BundlePlaces, Pulls
from runtime.fleet.store.records import UNREADABLE
from runtime.fleet.store.signatures import operators_of
from runtime.fleet.store.store import FleetStore
from runtime.security.keys import Keys, load_secret
from runtime.security.trust import Judge
from runtime.state_folder import state_folder

BUNDLES = "bundles"


def folder_of(settings: Settings) -> Path:
    """Return the folder of the fleet on this device.

    Raises:
        SettingsError: there is no section `fleet`, or no folder for it.
    """
    fleet = _fleet_of(settings)
    if fleet.folder:
        return Path(os.path.abspath(fleet.folder))  # noqa: PTH100 - the runtime refuses links, and `resolve` hides them
    try:
        return state_folder() / "fleet" / settings.device
    except OSError as error:
        raise SettingsError("there is no folder for bundles", where="fleet.folder", remedy="set it") from error


async def run_until_signal(settings: Settings, control: str) -> None:
    """Run the agent of a device until SIGTERM or SIGINT comes.

    Args:
        settings: of the device.
        control: address of its control socket.

    Raises:
        PatchedgeError: a key, credentials or a folder cannot be used.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await run(settings, control, stop)


async def run(settings: Settings, control: str, stop: asyncio.Event) -> None:
    """Run the agent of a device until `stop` is set; arguments and errors are those of `run_until_signal`."""
    fleet = _fleet_of(settings)
    name, folder = fleet.name or settings.device, folder_of(settings)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    judge, max_bytes = Judge(settings.trust), fleet.max_mb << 20
    this = ThisDevice(name, fleet.groups, version() or "", secrets.token_hex(8))
    async with AsyncExitStack() as stack:
        stack.enter_context(_alone(folder))
        assigned = _assigned(fleet, name, folder / "counters.json")
        requester = await stack.enter_async_context(_requester(settings, control))
        store = await stack.enter_async_context(FleetStore.connect(fleet, name))
        with writing(folder):
            packs = Packs(store, folder, judge, max_bytes)
        runtime, kept = ControlRuntime(requester), KeptFile(folder / "agent.json")
        agent = Agent(this, tuple(settings.cameras), store, runtime, packs, assigned, kept)
        places = BundlePlaces(settings, folder / BUNDLES)
        pulls = Pulls(name, store, assigned, places, max_bytes, runtime.look)
        structlog.get_logger().info("running", device=name, groups=fleet.groups, servers=fleet.servers)
        await _until(stop, asyncio.create_task(agent.run(pulls.run)))
        structlog.get_logger().info("ended")


async def _until(stop: asyncio.Event, running: asyncio.Task[None]) -> None:
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([stopping, running], return_when=asyncio.FIRST_COMPLETED)
    failed = running.done()
    for task in (stopping, running):
        task.cancel()
    await asyncio.gather(stopping, running, return_exceptions=True)
    if failed:
        running.result()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep another agent from using the folder; the kernel ends this with the process.

    Raises:
        UnavailableError: another one does.
    """
    with writing(folder):
        file = (folder / "lock").open("wb")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            remedy = "`patchedge run` starts one by itself"
            raise UnavailableError("another agent runs here", where=str(folder), remedy=remedy) from error
        yield


def _fleet_of(settings: Settings) -> FleetOfDevice:
    if settings.fleet is None:
        raise SettingsError("there is no section `fleet`", where="settings", remedy="name servers and operators in it")
    return settings.fleet


def _assigned(fleet: FleetOfDevice, name: str, file: Path) -> Assigned:
    try:
        return Assigned(name, fleet.groups, operators_of(fleet.operators), file, fleet.prefix)
    except (OSError, *UNREADABLE) as error:
        remedy = (
            "restore it: without it, old assignments could not be told from new ones; or delete it, and assign anew"
        )
        raise SettingsError(
            f"cannot be read ({getattr(error, 'strerror', None) or error})", where=str(file), remedy=remedy
        ) from error


@asynccontextmanager
async def _requester(settings: Settings, control: str) -> AsyncIterator[DeviceRequester]:
    """Connect to the control socket, with the device's own key if it requires one."""
    keys = None
    if settings.security.secret_key is not None:
        load_secret(settings.security.secret_key)
        keys = Keys(settings.security.secret_key, settings.security.secret_key)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        requester = DeviceRequester(control, keys, context)
        requester.open()
        try:
            yield requester
        finally:
            await requester.close()
    finally:
        context.term()
