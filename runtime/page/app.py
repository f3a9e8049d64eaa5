"""Put the page together: operations of the API, static files, access control."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles

import runtime.page.api
from runtime.page.api.endpoint import Endpoint, to_route
from runtime.page.api.openapi import describe
from runtime.page.api.refusal import HANDLERS
from runtime.page.services import Services

STATIC = Path(__file__).parent / "static"
"""The front end."""


def endpoints() -> list[Endpoint]:
    """Return the operations that the modules of the API declare, in the order of paths."""
    found: list[Endpoint] = []
    for module in pkgutil.walk_packages(runtime.page.api.__path__, "runtime.page.api."):
        found += getattr(importlib.import_module(module.name), "ROUTES", [])
    return sorted(found, key=lambda one: (one.path, one.method))


def make_app(services: Services, middleware: Sequence[Middleware] = ()) -> Starlette:
    """Return the application.

    Args:
        services: what it is made of; they are opened and closed with it.
        middleware: access control, the outermost first.
    """

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await services.store.open()
        await services.devices.open()
        if services.fleet is not None:
            await services.fleet.open()
        try:
            yield
        finally:
            if services.fleet is not None:
                await services.fleet.close()
            await services.media.close()
            await services.devices.close()
            await services.store.close()

    declared = endpoints()
    # A fixed path goes before one with a parameter at the same place.
    routes: list[BaseRoute] = [to_route(one) for one in sorted(declared, key=lambda one: one.path.replace("{", "~"))]
    if STATIC.is_dir():
        routes.append(Mount("/", StaticFiles(directory=STATIC, html=True), name="static"))
    app = Starlette(routes=routes, middleware=middleware, exception_handlers=HANDLERS, lifespan=lifespan)
    app.state.services = services
    app.state.openapi = msgspec.json.encode(describe(declared))
    return app
