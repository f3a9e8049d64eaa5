"""Where the page may be bound: on loopback always, beyond it only with users and encryption."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

from edge_config.errors import SettingsError
from edge_config.settings.page import PageAccess, PageTls
from runtime.page.access.peer import is_loopback

_REMEDY = (
    "add users (patchedge page user add NAME --role operator), and set `access.tls` or `access.proxy`;"
    " or bind 127.0.0.1"
)


def is_for_all(bound: str) -> bool:
    """Return whether a name or address can be reached from other machines."""
    return bound.strip("[]").lower() != "localhost" and not is_loopback(bound)


def check_exposure(bind: str, access: PageAccess, *, users: bool) -> None:
    """Check that a page that others can reach has users and encryption.

    Args:
        bind: ADDRESS:PORT of the page.
        access: the settings.
        users: there are users.

    Raises:
        SettingsError: it has not; or a proxy passes others on to a page without users.
    """
    users = users or (access.proxy is not None and bool(access.proxy.user_header))
    missing = [] if users else ["users"]
    if is_for_all(bind.rpartition(":")[0]):
        missing += [] if access.tls or access.proxy else ["encryption"]
        if missing:
            what = f"other machines could reach this page, and it has no {' and no '.join(missing)}"
            raise SettingsError(what, where=f"bind {bind}", remedy=_REMEDY)
    elif access.proxy is not None and missing:
        what = "a proxy passes other machines on to this page, and it has no users"
        raise SettingsError(what, where="access.proxy", remedy="patchedge page user add NAME --role operator")


def check_tls(tls: PageTls) -> None:
    """Check that a certificate and its key can be used.

    Raises:
        SettingsError: they cannot.
    """
    try:
        mode = Path(tls.key).stat().st_mode
        if mode & stat.S_IRWXO:
            raise SettingsError("this secret key is readable by others", where=tls.key, remedy=f"chmod o= {tls.key}")
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key, password=_no_password)
    except ssl.SSLError as error:
        what = f"the certificate and the key {tls.key} cannot be used ({error.reason or 'no PEM'})"
        raise SettingsError(what, where=tls.certificate, remedy="give PEM files that belong together") from error
    except (OSError, ValueError) as error:
        where = str(getattr(error, "filename", None) or tls.certificate)
        raise SettingsError(f"cannot be read ({getattr(error, 'strerror', None) or error})", where=where) from error


def _no_password() -> str:
    raise ValueError("the key is encrypted by a password, which nobody could type at a start")
