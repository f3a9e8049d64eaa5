"""Checks of the section `fleet`: its files, and whether the servers let this device in."""

from __future__ import annotations

from collections.abc import Iterator

from edge_config.errors import PatchedgeError
from edge_config.settings.device import Settings
from edge_config.settings.fleet import FleetOfDevice
from runtime.doctor.finding import Finding

PATIENCE_S = 3.0
"""Time-out of the servers, seconds."""

_ABOUT = "fleet"


def fleet(settings: Settings) -> Iterator[Finding]:
    """Check keys, credentials and servers; nothing is found wrong where the device is in no fleet."""
    section = settings.fleet
    if section is None:
        return
    name = section.name or settings.device
    try:
        _log_in(section, name)
    except PatchedgeError as error:  # `run` goes on without its fleet
        where = f"{error.where}: " if error.where else ""
        yield Finding(_ABOUT, "warn", f"{where}{error.what}", error.remedy or "see the line")
        return
    groups = f" in {', '.join(section.groups)}" if section.groups else ""
    count = len(section.operators)
    known = f"{count} operator{'' if count == 1 else 's'} may assign"
    yield Finding(_ABOUT, "ok", f"{name}{groups}; {known}; the servers let it in")
    if not settings.trust.keys:
        said = "an operator can assign any bundle: `trust.keys` is empty, so no signature of a bundle is checked"
        yield Finding(_ABOUT, "warn", said, "name the key of the workshop in `trust.keys`")


def _log_in(section: FleetOfDevice, name: str) -> None:
    """Connect once.

    Raises:
        PatchedgeError: a file cannot be used, a package is missing, or the servers do not let it in.
    """
    import asyncio

    from edge_config.extra import needs_extra

    with needs_extra("fleet"):
        from runtime.fleet.store.signatures import operators_of
        from runtime.fleet.store.store import FleetStore

    operators_of(section.operators)

    async def connect() -> None:
        async with FleetStore.connect(section, name, PATIENCE_S) as store:
            await store.ready()

    asyncio.run(connect())
