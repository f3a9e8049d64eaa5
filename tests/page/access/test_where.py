"""Which names, sites and proxies are believed, and where the page may be bound."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from starlette.datastructures import Headers

from edge_config.errors import SettingsError
from edge_config.settings.page import PageAccess, PageProxy, PageTls
from runtime.page.access.exposure import check_exposure, check_tls
from runtime.page.access.origin import Hosts, check_origin, check_site
from runtime.page.access.peer import Proxies
from runtime.page.refused import Refused

PROXY = PageProxy(trusted=("10.0.0.7",))
TLS = PageTls(certificate="page.pem", key="page.key")


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8088", "localhost:8088", "LOCALHOST", "[::1]:8088", "localhost.:8088", "127.0.0.1:9000"]
)
def test_names_of_loopback_are_answered(host: str) -> None:
    """Each name of this machine alone is a name of the page, also at a forwarded port."""
    assert Hosts("127.0.0.1").check(Headers({"host": host})) == host.lower()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("evil.example:8088", 421),
        ("127.0.0.1.evil.example", 421),
        ("10.0.0.5:8088", 421),
        ("localhost@evil.example", 400),
        ("", 400),
        ("localhost:8088, evil.example", 400),
    ],
)
def test_a_foreign_host_is_refused(host: str, status: int) -> None:
    """A name of another site that has the address of this machine (DNS rebinding) gets no answer."""
    with pytest.raises(Refused) as error:
        Hosts("127.0.0.1").check(Headers({"host": host}))
    assert error.value.status == status


def test_two_hosts_are_refused() -> None:
    """A request with two Host headers is for nobody."""
    with pytest.raises(Refused):
        Hosts("127.0.0.1").check(Headers(raw=[(b"host", b"localhost"), (b"host", b"evil.example")]))


def test_configured_names_and_any_address_are_answered_beyond_loopback() -> None:
    """At 0.0.0.0 every address is fine, as no name can hide behind it; of names only those that are configured."""
    hosts = Hosts("0.0.0.0", ["Hall.example"])  # noqa: S104 - what is tested
    for good in ("10.0.0.5:8088", "[2001:db8::1]:8088", "hall.example"):
        hosts.check(Headers({"host": good}))
    with pytest.raises(Refused):
        hosts.check(Headers({"host": "evil.example"}))


@pytest.mark.parametrize("site", ["cross-site", "same-site", "nonsense"])
def test_a_page_of_another_site_gets_nothing(site: str) -> None:
    """Also another port of this machine is another site."""
    with pytest.raises(Refused):
        check_site(Headers({"sec-fetch-site": site}))


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:9999", "https://127.0.0.1:8088", "http://[", "://"]
)
def test_a_foreign_origin_is_refused(origin: str) -> None:
    """Host, port and scheme must all be those of the page."""
    with pytest.raises(Refused):
        check_origin(Headers({"origin": origin}), "http", "127.0.0.1:8088")


def test_the_own_origin_is_let_in() -> None:
    """Also where the browser leaves out a default port."""
    check_origin(Headers({"origin": "http://127.0.0.1:8088"}), "http", "127.0.0.1:8088")
    check_origin(Headers({"origin": "https://hall.example"}), "https", "hall.example:443")
    check_origin(Headers({}), "https", "hall.example")


def peer_of(client: str, headers: dict[str, str], trusted: tuple[str, ...] = ("10.0.0.0/24",)) -> tuple[str, str, bool]:
    found = Proxies(trusted).peer({"client": (client, 1), "scheme": "http"}, Headers(headers))
    return found.address, found.scheme, found.proxied


def test_a_stranger_cannot_invent_an_address() -> None:
    """Headers of a proxy count only from a trusted one, and there only what it added itself."""
    said = {"x-forwarded-for": "1.1.1.1", "x-forwarded-proto": "https"}
    assert peer_of("203.0.113.9", said) == ("203.0.113.9", "http", False)
    assert peer_of("10.0.0.7", said) == ("1.1.1.1", "https", True)
    assert peer_of("10.0.0.7", {"x-forwarded-for": "127.0.0.1, 203.0.113.9, 10.0.0.8"})[0] == "203.0.113.9"
    assert peer_of("10.0.0.7", {"x-forwarded-for": "203.0.113.9, <script>"})[0] == "10.0.0.7"
    assert peer_of("10.0.0.7", {"x-forwarded-for": "[2001:db8::1]:99"})[0] == "2001:db8::1"
    assert peer_of("::ffff:10.0.0.7", {"x-forwarded-proto": "http"}) == ("::ffff:10.0.0.7", "http", True)


def test_a_proxy_is_named_by_its_address() -> None:
    """A name in the place of an address is one clear line."""
    with pytest.raises(SettingsError, match=r"access\.proxy\.trusted.*nginx"):
        Proxies(["nginx"])


@pytest.mark.parametrize("bind", ["127.0.0.1:8088", "[::1]:8088", "localhost:8088", "127.9.9.9:1"])
def test_loopback_needs_nothing(bind: str) -> None:
    """On this machine alone the page starts without users."""
    check_exposure(bind, PageAccess(), users=False)


@pytest.mark.parametrize("bind", ["0.0.0.0:8088", "[::]:8088", "10.0.0.5:80", "press-hall:8088", "127.0.0.1.x:8088"])
@pytest.mark.parametrize(
    ("access", "users", "missing"),
    [
        (PageAccess(), False, "no users and no encryption"),
        (PageAccess(), True, "no encryption"),
        (PageAccess(tls=TLS), False, "no users"),
        (PageAccess(proxy=PROXY), False, "no users"),
    ],
)
def test_beyond_loopback_users_and_encryption_are_needed(
    bind: str, access: PageAccess, *, users: bool, missing: str
) -> None:
    """One line says what is missing and how to get it; the exit code is that of settings."""
    with pytest.raises(SettingsError) as error:
        check_exposure(bind, access, users=users)
    assert f"it has {missing};" in str(error.value)
    assert "patchedge page user add" in str(error.value)
    assert error.value.exit_code == 78


def test_beyond_loopback_users_and_encryption_are_enough() -> None:
    """By certificate files, by a proxy, or by a proxy that names the users."""
    check_exposure("0.0.0.0:8088", PageAccess(tls=TLS), users=True)
    check_exposure("0.0.0.0:8088", PageAccess(proxy=PROXY), users=True)
    named = PageProxy(trusted=("10.0.0.7",), user_header="X-Remote-User", roles={"*": "viewer"})
    check_exposure("0.0.0.0:8088", PageAccess(proxy=named), users=False)


def test_a_proxy_on_this_machine_needs_users_too() -> None:
    """On loopback a proxy would let everybody in."""
    with pytest.raises(SettingsError, match="no users"):
        check_exposure("127.0.0.1:8088", PageAccess(proxy=PROXY), users=False)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> PageTls:
    folder = tmp_path_factory.mktemp("tls")
    made = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    files = ("-keyout", str(folder / "page.key"), "-out", str(folder / "page.pem"), "-subj", "/CN=localhost")
    subprocess.run([*made, *files], check=True, capture_output=True)
    (folder / "page.key").chmod(0o600)
    return PageTls(certificate=str(folder / "page.pem"), key=str(folder / "page.key"))


def test_certificate_files_are_checked_at_the_start(certificate: PageTls, tmp_path: Path) -> None:
    """A good pair is taken; each fault is one line that names the file."""
    check_tls(certificate)
    with pytest.raises(SettingsError, match=r"none\.pem: cannot be read"):
        check_tls(PageTls(certificate=str(tmp_path / "none.pem"), key=certificate.key))
    with pytest.raises(SettingsError, match="cannot be used"):
        check_tls(PageTls(certificate=certificate.key, key=certificate.key))
    lax = tmp_path / "lax.key"
    lax.write_bytes(Path(certificate.key).read_bytes())
    lax.chmod(0o644)
    with pytest.raises(SettingsError, match=r"lax\.key: .*readable by others; chmod"):
        check_tls(PageTls(certificate=certificate.certificate, key=str(lax)))
