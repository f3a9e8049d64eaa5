"""Serve the page until a signal comes."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import closing

import structlog
import uvicorn

from edge_config.errors import AddressUnavailable
from edge_config.settings.page import PageSettings
from runtime.monitoring.systemd import Notifier
from runtime.page.access.guard import Guard
from runtime.page.app import make_app
from runtime.page.devices.devices import PageDevices
from runtime.page.fleet import fleet_of
from runtime.page.folder import page_folder
from runtime.page.services import Services
from runtime.page.store.store import PageStore
from runtime.process.log import set_up_logging
from runtime.process.signals import Termination

END_S = 1
"""Time-out at the end for requests that are being answered, seconds."""

BACKLOG = 128


def serve(settings: PageSettings, termination: Termination) -> int:
    """Serve the page until a signal comes.

    Returns:
        The exit code.

    Raises:
        PatchedgeError: the address cannot be bound, a key cannot be used, or the folder cannot be written.
    """
    set_up_logging()
    folder = page_folder(settings)
    store = PageStore(folder, settings.store)
    devices = PageDevices(settings, store)
    services = Services(settings, folder, devices, store, fleet_of(settings.fleet))
    access = services.access
    with bind(settings.bind) as listening:
        config = uvicorn.Config(
            Guard(make_app(services), access.rules),
            loop="asyncio",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=END_S,
            backlog=BACKLOG,
            **access.server_options,
        )
        try:
            started = asyncio.run(_serve(config, listening, devices, termination))
        finally:
            termination.done()
    return 0 if started else 1


async def _serve(
    config: uvicorn.Config, listening: socket.socket, devices: PageDevices, termination: Termination
) -> bool:
    """Serve until the end; return whether it could begin."""
    server = uvicorn.Server(config)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        devices.hub.end()  # streams have no end of their own
        server.should_exit = True

    def signalled() -> None:
        loop.call_soon_threadsafe(stop)

    termination.call(signalled)
    url = f"{'https' if config.is_ssl else 'http'}://{_shown(listening)}/"
    structlog.get_logger().info("the page is served", url=url, devices=[*devices.names])
    with closing(Notifier()) as notifier:
        notifier.ready(url)
        await server.serve(sockets=[listening])
        notifier.stopping()
    return server.started


def bind(where: str) -> socket.socket:
    """Bind the address of the page.

    Raises:
        AddressUnavailable: it is in use, or is not one of this machine.
    """
    host, _, port = where.rpartition(":")
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, number)
    except OSError as error:
        raise _unavailable(where, error) from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)  # a browser that is early waits
    except OSError as error:
        listening.close()
        raise _unavailable(where, error) from error
    return listening


def _unavailable(where: str, error: OSError) -> AddressUnavailable:
    used = error.errno == errno.EADDRINUSE
    remedy = "another program listens there: end it, or choose another `bind`" if used else "choose another `bind`"
    return AddressUnavailable(f"the page cannot be served here ({error.strerror})", where=where, remedy=remedy)


def _shown(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
