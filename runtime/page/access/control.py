"""Access control of a page, put together from its settings."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_config.errors import SettingsError
from edge_config.saving import put, writing
from edge_config.settings.page import PageAccess, PageSettings
from runtime.page.access.exposure import check_exposure, check_tls, is_for_all
from runtime.page.access.guard import GateRules
from runtime.page.access.identify import Identify
from runtime.page.access.login import LogIn
from runtime.page.access.origin import Hosts
from runtime.page.access.peer import Proxies
from runtime.page.access.slow_clients import (
    KEEP_ALIVE_S,
    MAX_CONNECTIONS,
    MAX_HEAD_BYTES,
    PatientProtocol,
)
from runtime.page.users.register import UsersFile, users_path
from runtime.page.users.sessions import Sessions

_KEY_FILE = "page.key"
_KEY_BYTES = 32


@dataclass(frozen=True)
class AccessControl:
    """What decides who may use the page.

    Attributes:
        rules: for `Guard`, which stands before the app.
        identify: finds the sender of a request.
        log_in: begins and ends sessions.
        server_options: for `uvicorn.Config`.
    """

    rules: GateRules
    identify: Identify
    log_in: LogIn
    server_options: dict[str, Any]


def make_access(settings: PageSettings, folder: Path) -> AccessControl:
    """Check the settings, and put access control together.

    Args:
        settings: of the page.
        folder: of the page; it exists.

    Raises:
        SettingsError: others could reach the page without users or encryption; a file cannot be used.
        NotWritten: the folder cannot be written.
    """
    access = settings.access
    users = UsersFile(users_path(access, folder))
    if access.users is not None and not users.path.exists():
        remedy = "patchedge page user add NAME --role operator"
        raise SettingsError("there is no such file of users", where=access.users, remedy=remedy)
    proxy = access.proxy
    check_exposure(settings.bind, access, users=bool(users.read().users))
    if access.tls is not None:
        check_tls(access.tls)
    bound = settings.bind.rpartition(":")[0]
    sessions = Sessions()
    identify = Identify(
        users,
        sessions,
        _key(folder),
        open_here=not is_for_all(bound) and proxy is None,
        header=proxy.user_header if proxy else "",
        roles=proxy.roles if proxy else {},
    )
    rules = GateRules(
        Hosts(bound, access.hosts),
        Proxies(proxy.trusted if proxy else ()),
        identify,
        past_proxy=access.tls is not None or proxy is None,
    )
    return AccessControl(rules, identify, LogIn(identify, sessions), _server_options(access))


def _server_options(access: PageAccess) -> dict[str, Any]:
    options = {
        "http": PatientProtocol,
        "h11_max_incomplete_event_size": MAX_HEAD_BYTES,
        "limit_concurrency": MAX_CONNECTIONS,
        "timeout_keep_alive": KEEP_ALIVE_S,
    }
    if access.tls is None:
        return options
    return options | {"ssl_certfile": access.tls.certificate, "ssl_keyfile": access.tls.key}


def _key(folder: Path) -> bytes:
    """Return the secret of this page; it stays the same, so that an open page may go on after a restart."""
    path = folder / _KEY_FILE
    with writing(path):
        if path.is_file() and not path.stat().st_mode & 0o077 and path.stat().st_uid == os.geteuid():
            found = path.read_bytes()
            if len(found) == _KEY_BYTES:
                return found
    key = secrets.token_bytes(_KEY_BYTES)
    put(path, key, mode=0o600)
    return key
