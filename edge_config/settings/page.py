"""Settings of `patchedge page`: a strict YAML or TOML file, like that of a device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from edge_config.settings.bridge import Address, File, Host
from edge_config.settings.fleet import FleetOfPage, check_servers
from edge_config.settings.problems import Problem, look, refusal
from edge_config.settings.reading import Tree, lines_of
from edge_config.settings.sections import MAX_PORT, Name, Section
from edge_config.wire.messages import DEFAULT_EVENTS
from edge_config.wire.requests import DEFAULT_CONTROL

MAX_DEVICES = 64

HostPort = Annotated[
    str,
    Meta(
        pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]{1,253}):[0-9]{1,5}\Z",
        description="ADDRESS:PORT, such as 127.0.0.1:8088",
    ),
]

HeaderOrNone = Annotated[str, Meta(pattern=r"^([A-Za-z0-9-]{1,64})?\Z", description="the name of a header, or empty")]


class ShownDevice(Section, frozen=True):
    """A device that the page shows.

    Attributes:
        events: address of its PUB socket.
        control: address of its control socket.
        server_key: file with its public key, for encryption; the page then needs a `secret_key`.
    """

    events: Address = DEFAULT_EVENTS
    control: Address = DEFAULT_CONTROL
    server_key: File | None = None


class StoreSettings(Section, frozen=True):
    """What the page keeps of what it saw.

    Attributes:
        hours: how long every score is kept, hours.
        days: how long alerts with their pictures, and scores of ten seconds, are kept, days.
        most_mb: maximum size of all of it, MiB: the oldest is deleted; first every score, where these take more than
            half. Films of clips take at most 200 MiB more.
    """

    hours: Annotated[float, Meta(ge=0.1, le=720)] = 24.0
    days: Annotated[float, Meta(ge=0.1, le=3650)] = 90.0
    most_mb: Annotated[int, Meta(ge=10, le=1_048_576)] = 500


class PageTls(Section, frozen=True):
    """Encryption of the page.

    Attributes:
        certificate: file with the certificate and those that it depends on, PEM.
        key: file with its secret key, PEM; not readable by others.
    """

    certificate: File
    key: File


class PageProxy(Section, frozen=True):
    """A proxy in front of the page, which encrypts.

    Attributes:
        trusted: addresses of proxies whose word about the browser's address is taken, such as 10.0.0.7 or 10.0.0.0/24.
        user_header: header in which the proxy names the user, where it checks passwords itself; it must remove this
            header from what browsers send. Empty: the page asks for the password.
        roles: role of each user whom the proxy names; `*` stands for all others; without it they see nothing.
    """

    trusted: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...], Meta(min_length=1, max_length=16)]
    user_header: HeaderOrNone = ""
    roles: Annotated[dict[str, Literal["viewer", "operator"]], Meta(max_length=1000)] = msgspec.field(
        default_factory=dict
    )


class PageAccess(Section, frozen=True):
    """Access to the page: users, and encryption.

    Attributes:
        users: file of the users, which `patchedge page user` writes; by default `users.json` in `folder`.
        tls: certificate files, for a page that is reachable from other machines.
        proxy: a proxy that encrypts, in place of `tls`.
        hosts: further names under which browsers may open the page, such as press-hall.example.
    """

    users: File | None = None
    tls: PageTls | None = None
    proxy: PageProxy | None = None
    hosts: Annotated[tuple[Host, ...], Meta(max_length=64)] = ()


class PageSettings(Section, frozen=True):
    """All settings of `patchedge page`; paths are relative to the working directory.

    Attributes:
        bind: ADDRESS:PORT of the page; port 0 takes a free one.
        folder: where the page keeps scores, alerts and users; by default `page` in the folder of the state.
        devices: the devices that it shows, by name; by default one at the default addresses.
        secret_key: file with the secret key of this page, for devices with a `server_key`.
        store: what it keeps.
        access: users, and encryption.
        fleet: a fleet that it shows, with its roll-outs; by default none.
    """

    bind: HostPort = "127.0.0.1:8088"
    folder: Annotated[str, Meta(max_length=4096)] = ""
    devices: Annotated[dict[Name, ShownDevice], Meta(min_length=1, max_length=MAX_DEVICES)] = msgspec.field(
        default_factory=lambda: {"edge": ShownDevice()}
    )
    secret_key: File | None = None
    store: StoreSettings = msgspec.field(default_factory=StoreSettings)
    access: PageAccess = msgspec.field(default_factory=PageAccess)
    fleet: FleetOfPage | None = None


def parse(tree: Mapping[str, Any], where: str = "settings") -> PageSettings:
    """Check a tree of plain values against `PageSettings`.

    Args:
        tree: what `read_file` gave.
        where: named in the errors: the file.

    Raises:
        SettingsError: an unknown key, a value out of bounds, or keys that do not go together.
    """
    wrong, mended = look(tree, PageSettings)
    problems = [*(tree.twice if isinstance(tree, Tree) else ()), *wrong]
    page = msgspec.convert(mended if problems else dict(tree), PageSettings)
    if page.fleet is not None:
        problems += check_servers(page.fleet, ("fleet",))
    problems += _of_page(page, keyed="server_key" in str(tree.get("devices")))
    if problems:
        raise refusal(problems, where, lines_of(tree))
    return page


def _of_page(page: PageSettings, *, keyed: bool) -> Iterator[Problem]:
    if int(page.bind.rpartition(":")[2]) > MAX_PORT:
        yield Problem(("bind",), "key `bind`: there is no such port")
    seen: set[str] = set()
    for name, device in page.devices.items():
        for key, address in (("events", device.events), ("control", device.control)):
            path = f"devices.{name}.{key}"
            if address in seen:
                yield Problem(("devices", name, key), f"key `{path}`: {address} is listed twice")
            elif address.startswith("tcp://") and not 0 < int(address.rpartition(":")[2]) <= MAX_PORT:
                yield Problem(("devices", name, key), f"key `{path}`: there is no such port")
            seen.add(address)
    proxy = page.access.proxy
    if proxy is not None and bool(proxy.user_header) != bool(proxy.roles):
        what = "key `access.proxy`: `user_header` and `roles` have an effect together only"
        yield Problem(("access", "proxy"), what, "set both")
    if keyed and page.secret_key is None:
        yield Problem((), "a device has a `server_key`, but `secret_key` is missing")
    if page.secret_key is not None and not keyed:
        yield Problem(("secret_key",), "`secret_key` is set, but no device has a `server_key`", "set both")
