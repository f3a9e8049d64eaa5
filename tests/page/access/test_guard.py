"""The gate of the page, around the real app: what it lets in, and what it refuses before a handler sees it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any

import argon2
import pytest
from starlette.routing import Mount, Route

from edge_config.saving import put
from edge_config.settings.page import parse
from runtime.page.access.guard import CSRF_HEADER, SESSION_PATH, Guard
from runtime.page.app import make_app
from runtime.page.devices.devices import PageDevices
from runtime.page.services import Services
from runtime.page.store.store import PageStore
from runtime.page.users import manage
from tests.page.access.asgi import LOCAL, Reply, ask

PASSWORD = "correct horse battery"  # noqa: S105 - of a page of the test
OTHER_PASSWORD = "staple battery horse"  # noqa: S105
CHANGE = "/api/v1/cameras/edge:top/learn-on"
"""An address that takes changes, whether it exists or not: what is asserted comes before the handler."""


@dataclass
class Browser:
    """A page, and a browser with its cookie and token."""

    guard: Guard
    users: Path
    scheme: str = "http"
    client: tuple[str, int] = LOCAL
    cookie: str = ""
    csrf: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def ask(
        self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b"", *, chunks: int = 1
    ) -> Reply:
        own = {**({"cookie": self.cookie} if self.cookie else {}), **self.headers, **(headers or {})}
        how: dict[str, Any] = {"client": self.client, "scheme": self.scheme, "chunks": chunks}
        return ask(self.guard, method, target, own, body, **how)

    def change(self, method: str = "POST", target: str = CHANGE, **headers: str) -> Reply:
        given = {CSRF_HEADER: self.csrf, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return self.ask(method, target, given, b"{}")

    def log_in(self, user: str = "anna", password: str = PASSWORD) -> Reply:
        reply = self.ask("POST", SESSION_PATH, None, f'{{"user": "{user}", "password": "{password}"}}'.encode())
        if reply.status == 200:
            self.cookie = reply.header("set-cookie").split(";")[0]
            self.csrf = reply.json["csrf"]
        return reply


@pytest.fixture
def opened() -> Iterator[list[Services]]:
    """Return a list; what is in it is closed at the end."""
    found: list[Services] = []
    yield found
    for services in found:
        asyncio.run(services.devices.close())
        services.store._readers.shutdown()


@pytest.fixture
def browser(tmp_path: Path, opened: list[Services]) -> Callable[..., Browser]:
    """Return what opens a page with settings of access, in the folder of this test."""

    def make(**access: Any) -> Browser:
        settings = parse({"folder": str(tmp_path), "access": access})
        store = PageStore(tmp_path, settings.store)
        services = Services(settings, tmp_path, PageDevices(settings, store), store)
        opened.append(services)
        return Browser(Guard(make_app(services), services.access.rules), tmp_path / "users.json")

    return make


@pytest.fixture(scope="session")
def users(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a file of users: anna is an operator, otto a viewer; hashes take time."""
    path = tmp_path_factory.mktemp("users") / "users.json"
    manage.add_user(path, "anna", "operator", lambda: PASSWORD)
    manage.add_user(path, "otto", "viewer", lambda: PASSWORD)
    return path.read_bytes()


@pytest.fixture
def page(tmp_path: Path, browser: Callable[..., Browser], users: bytes) -> Browser:
    """Return a page with these users."""
    put(tmp_path / "users.json", users, mode=0o600)
    return browser()


@pytest.fixture
def anna(page: Browser) -> Browser:
    """Return the page with anna logged in."""
    assert page.log_in().status == 200
    return page


@pytest.fixture
def open_page(browser: Callable[..., Browser]) -> Browser:
    """Return a page without users, and the token that it gives to a browser of this machine."""
    found = browser()
    found.csrf = found.ask("GET", SESSION_PATH).json["csrf"]
    return found


def passed(reply: Reply) -> bool:
    """Return whether a handler was reached: there is no device, so it says so, or that there is no such camera."""
    return reply.status not in {400, 401, 403, 413, 421, 429}


def cookie(reply: Reply) -> Morsel[str]:
    return next(iter(SimpleCookie(reply.header("set-cookie")).values()))


def test_without_users_everybody_on_this_machine_is_an_operator(open_page: Browser) -> None:
    """As with the control socket on loopback; the session says so."""
    found = open_page.ask("GET", SESSION_PATH).json
    assert (found["user"], found["role"], found["login_needed"]) == ("", "operator", False)
    assert found["csrf"]
    assert passed(open_page.change())


def test_without_users_the_checks_of_a_browser_hold_all_the_same(open_page: Browser) -> None:
    """Another site in a browser of this machine can change nothing, and read nothing."""
    assert open_page.ask("POST", CHANGE, None, b"{}").status == 403
    assert open_page.change(origin="https://evil.example").status == 403
    assert open_page.ask("GET", "/api/v1/cameras", {"host": "evil.example"}).status == 421
    assert open_page.ask("GET", "/api/v1/cameras", {"sec-fetch-site": "cross-site"}).status == 403
    assert open_page.ask("GET", "/", {"host": "evil.example"}).status == 421


def test_without_users_no_other_machine_is_let_in(open_page: Browser) -> None:
    """Neither by its address nor by a proxy on this machine that nobody has named."""
    open_page.client = ("10.0.0.5", 4000)
    assert open_page.ask("GET", "/api/v1/cameras").status == 403
    open_page.client = LOCAL
    assert open_page.ask("GET", "/api/v1/cameras", {"x-forwarded-for": "203.0.113.9"}).status == 403
    assert open_page.ask("GET", "/api/v1/cameras", {"via": "1.1 nginx"}).status == 403


def test_a_token_of_the_open_page_outlives_a_restart(open_page: Browser, browser: Callable[..., Browser]) -> None:
    """A browser that was open goes on after the page was restarted."""
    again = browser()
    again.csrf = open_page.csrf
    assert passed(again.change())


def test_the_first_user_closes_the_page_at_once(open_page: Browser) -> None:
    """A user who is added while the page runs is asked for; removing all does not open it again."""
    manage.add_user(open_page.users, "anna", "operator", lambda: PASSWORD)
    assert open_page.ask("GET", "/api/v1/cameras").status == 401
    assert open_page.change().status == 401
    manage.remove_user(open_page.users, "anna")
    assert open_page.ask("GET", "/api/v1/cameras").status == 401
    open_page.users.unlink()
    assert open_page.ask("GET", "/api/v1/cameras").status == 401


def test_nobody_sees_anything_before_log_in(page: Browser) -> None:
    """The API says 401; only who asks, the way to log in, and the files of the front end are there."""
    for target in ("cameras", "devices", "alerts", "events", "openapi.json", "nothing"):
        assert page.ask("GET", f"/api/v1/{target}").status == 401
    found = page.ask("GET", SESSION_PATH).json
    assert (found["user"], found["role"], found["login_needed"], found["csrf"]) == ("", "", True, "")
    assert page.ask("GET", "/").status == 200


def test_log_in_and_out(page: Browser) -> None:
    """A right password begins a session, and log-out ends it for good."""
    reply = page.log_in()
    assert (reply.json["user"], reply.json["role"]) == ("anna", "operator")
    assert page.ask("GET", SESSION_PATH).json["csrf"] == reply.json["csrf"]
    assert passed(page.ask("GET", "/api/v1/cameras"))
    assert passed(page.change())
    assert page.change("DELETE", SESSION_PATH).status == 200
    assert page.ask("GET", "/api/v1/cameras").status == 401


def test_the_cookie_has_all_flags(page: Browser) -> None:
    """No script reads it, no other site sends it; over TLS its name makes browsers refuse it from elsewhere."""
    found = cookie(page.log_in())
    assert (found.key, found["httponly"], found["samesite"], found["path"]) == ("patchedge", True, "strict", "/")
    assert not found["domain"]
    page.scheme = "https"
    found = cookie(page.log_in())
    assert (found.key, found["secure"], found["httponly"]) == ("__Host-patchedge", True, True)
    assert (found["samesite"], found["path"], found["domain"]) == ("strict", "/", "")
    assert page.ask("GET", "/api/v1/cameras").status == 200


def test_a_session_is_never_one_that_the_client_chose(page: Browser) -> None:
    """Session fixation: log-in gives a new identifier, and ends the one that was there."""
    page.cookie = "patchedge=chosen-by-an-attacker"
    page.log_in()
    first = page.cookie
    assert "chosen" not in first
    page.log_in()
    assert page.cookie != first
    page.cookie = first
    assert page.ask("GET", "/api/v1/cameras").status == 401


def test_a_change_needs_the_token_of_its_session(anna: Browser) -> None:
    """Without it, with a wrong one, or with that of another session nothing is changed."""
    right = anna.csrf
    for wrong in ("", "x", right[:-1], right + "x", "é"):
        anna.csrf = wrong
        assert anna.change().status == 403, wrong
    assert anna.ask("DELETE", SESSION_PATH).status == 403, "another site must not log out a user either"
    other = Browser(anna.guard, anna.users)
    other.log_in("otto")
    anna.csrf = other.csrf
    assert anna.change().status == 403
    anna.csrf = right
    assert passed(anna.change())


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:8088"])
def test_a_change_from_another_origin_is_refused(anna: Browser, origin: str) -> None:
    """Even with the right token; the own origin is let in."""
    assert anna.change(origin=origin).status == 403
    assert passed(anna.change(origin="http://127.0.0.1:8088", sec_fetch_site="same-origin"))
    assert anna.change(sec_fetch_site="same-site").status == 403


def test_another_site_cannot_log_a_user_in(page: Browser) -> None:
    """Else it could make a person work under a name that it chose."""
    page.headers = {"origin": "https://evil.example"}
    assert page.log_in().status == 403


def test_ten_wrong_passwords(page: Browser) -> None:
    """Then the right one is refused too, for a time that is said; a user who does not exist is refused alike."""
    statuses = [page.log_in("anna", f"wrong password {number}").status for number in range(10)]
    assert set(statuses) == {401, 429}
    reply = page.log_in()
    assert reply.status == 429
    assert "15 minutes" in reply.json["error"]
    assert int(reply.header("retry-after")) == 900
    page.client = ("10.0.0.77", 1)
    unknown = [page.log_in("nobody", "wrong password").status for _ in range(10)]
    assert unknown == statuses


def test_wrong_passwords_and_unknown_users_are_answered_alike(page: Browser) -> None:
    """The answer does not say whether there is such a user."""
    known, unknown = page.log_in("anna", OTHER_PASSWORD), page.log_in("nobody", OTHER_PASSWORD)
    assert (known.status, known.body) == (unknown.status, unknown.body)
    assert known.status == 401


def test_a_removed_user_is_out_at_once(anna: Browser) -> None:
    """The open session is of no use any more, also if a user of the same name is added again."""
    manage.remove_user(anna.users, "anna")
    assert anna.ask("GET", "/api/v1/cameras").status == 401
    manage.add_user(anna.users, "anna", "operator", lambda: PASSWORD)
    assert anna.ask("GET", "/api/v1/cameras").status == 401


def test_a_changed_password_ends_the_sessions_of_this_user(anna: Browser) -> None:
    """Those of others go on."""
    otto = Browser(anna.guard, anna.users)
    otto.log_in("otto")
    manage.set_password(anna.users, "anna", lambda: OTHER_PASSWORD)
    assert anna.ask("GET", "/api/v1/cameras").status == 401
    assert anna.log_in().status == 401
    assert anna.log_in("anna", OTHER_PASSWORD).status == 200
    assert passed(otto.ask("GET", "/api/v1/cameras"))


def test_users_that_cannot_be_read_let_nobody_in(anna: Browser) -> None:
    """A damaged file is said, opens nothing, and costs no session once it is mended."""
    good = anna.users.read_bytes()
    anna.users.write_bytes(b"damaged")
    assert anna.ask("GET", "/api/v1/cameras").status == 503
    assert anna.change().status == 503
    anna.users.write_bytes(good)
    assert passed(anna.ask("GET", "/api/v1/cameras"))


def test_a_program_uses_a_token(page: Browser) -> None:
    """It needs neither cookie nor token of a change; a viewer's token changes nothing; a revoked one is refused."""
    operator = manage.add_token(page.users, "mes", "operator")
    viewer = manage.add_token(page.users, "erp", "viewer")
    page.headers = {"authorization": f"Bearer {operator}"}
    assert passed(page.ask("POST", CHANGE, None, b"{}"))
    assert page.ask("GET", SESSION_PATH).json["user"] == "mes"
    page.headers = {"authorization": f"bearer {viewer}"}
    assert passed(page.ask("GET", "/api/v1/cameras"))
    assert page.ask("POST", CHANGE, None, b"{}").status == 403
    manage.remove_token(page.users, "erp")
    assert page.ask("GET", "/api/v1/cameras").status == 401


@pytest.mark.parametrize("given", ["Bearer ", "Bearer x", "Basic YW5uYTp4", "", "Bearer \xff"])
def test_a_wrong_token_is_never_replaced_by_a_session(anna: Browser, given: str) -> None:
    """A request with a token is judged by it alone."""
    assert anna.ask("GET", "/api/v1/cameras", {"authorization": given}).status == 401


def operations(page: Browser) -> Iterator[tuple[str, str]]:
    """Yield method and path of all operations of the app, each parameter filled in."""
    routes: list[Any] = page.guard._app.routes  # type: ignore[attr-defined]
    for route in routes:
        if isinstance(route, Mount):
            assert route.path == "", "a further mount: say here who may use it"
            continue
        assert isinstance(route, Route)
        for method in sorted(route.methods or ()):
            yield method, re.sub(r"\{[^}]*\}", "x", route.path)


def test_a_viewer_can_change_nothing(page: Browser) -> None:
    """All operations that are no reading say 403 to a viewer, but for log-in and log-out; all say 401 to nobody."""
    everything = list(operations(page))
    changes = [one for one in everything if one[0] not in {"GET", "HEAD"} and one[1] != SESSION_PATH]
    assert len(everything) > 10
    token = manage.add_token(page.users, "erp", "viewer")
    for method, path in everything:
        if path != SESSION_PATH:
            assert page.ask(method, path).status == 401, f"{method} {path}"
    for method, path in changes:
        as_program = page.ask(method, path, {"authorization": f"Bearer {token}"}, b"{}")
        assert as_program.status == 403, f"{method} {path}"
    assert page.log_in("otto").status == 200
    for method, path in changes:
        as_person = page.change(method, path)
        assert as_person.status == 403, f"{method} {path}"
        assert "operator" in as_person.json["error"]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST", "OPTIONS", "TRACE", "PROPFIND", "get"])
def test_a_method_that_is_no_reading_counts_as_a_change(page: Browser, method: str) -> None:
    """Also one that nobody has thought of."""
    page.log_in("otto")
    assert page.change(method).status == 403
    assert page.change(method, "/index.html").status == 405


@pytest.mark.parametrize(
    "path",
    [
        "/../users.json",
        "/..%2fusers.json",
        "/%2e%2e/%2e%2e/app.py",
        "//etc/passwd",
        "/static/../../app.py",
        "/..\\app.py",
    ],
)
def test_static_files_lead_nowhere_else(page: Browser, path: str) -> None:
    """No path leads out of the folder of the front end."""
    assert page.ask("GET", path).status in {400, 404}
    assert page.ask("GET", path.replace("%2f", "/").replace("%2e", ".")).status in {400, 404}


ALIASES = ("//api/v1/cameras", "/./api/v1/cameras", "/API/v1/cameras", "/api//v1/cameras", "/lib/../api/v1/cameras")


@pytest.mark.parametrize("path", ALIASES)
def test_no_other_path_leads_to_the_api(page: Browser, path: str) -> None:
    """What is not checked as a request of the API does not reach it either."""
    assert page.ask("GET", path).status in {401, 404}


def test_a_name_that_a_stranger_types_cannot_write_to_a_terminal(
    page: Browser, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log has the name without control characters."""
    assert page.log_in("\\u001b[2Janna").status == 401
    said = capsys.readouterr()
    assert "x1b[2Janna" in said.out + said.err
    assert "\x1b[2J" not in said.out + said.err


def test_every_reply_has_the_headers(page: Browser) -> None:
    """Pages, files, the API, errors and refusals: what a browser may do with them is said with each."""
    replies = [
        page.ask("GET", "/"),
        page.ask("GET", "/app.js"),
        page.ask("GET", "/nothing"),
        page.ask("GET", SESSION_PATH),
        page.ask("GET", "/api/v1/cameras"),
        page.ask("GET", "/", {"host": "evil.example"}),
    ]
    for reply in replies:
        policy = dict(part.strip().split(" ", 1) for part in reply.header("content-security-policy").split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert reply.header("x-content-type-options") == "nosniff"
        assert reply.header("referrer-policy") == "no-referrer"
        assert reply.header("cross-origin-resource-policy") == reply.header("cross-origin-opener-policy")
        assert reply.header("cross-origin-opener-policy") == "same-origin"
        assert not reply.header("strict-transport-security")
    assert [reply.header("cache-control") for reply in replies[:2]] == ["no-cache"] * 2
    assert [reply.header("cache-control") for reply in replies[2:]] == ["no-store"] * 4
    page.scheme = "https"
    assert page.ask("GET", "/").header("strict-transport-security") == "max-age=31536000"


def test_a_header_cannot_be_injected(anna: Browser) -> None:
    """What a client sends never begins a line of its own in a reply."""
    for target in ("/api/v1/cameras/x%0d%0aSet-Cookie:a", "/x\r\nSet-Cookie: a=b", "/api/v1/alerts?text=a%0d%0aX:y"):
        reply = anna.ask("GET", target)
        assert not [1 for name, value in reply.headers if re.search(r"[\r\n]", name + value)]


@pytest.mark.parametrize("chunks", [1, 64])
def test_a_body_that_is_too_large_is_refused(page: Browser, chunks: int) -> None:
    """1 MB is the most, whether its size is said before or not."""
    said = {"content-length": "1000001"}
    assert page.ask("POST", SESSION_PATH, said).status == 413
    assert page.ask("POST", SESSION_PATH, {"content-length": "9" * 5000}).status == 413
    assert page.ask("POST", SESSION_PATH, {"content-length": "-1"}).status == 400
    never_read = page.ask("POST", SESSION_PATH, {"content-length": "64000001"})
    assert (never_read.status, never_read.header("connection")) == (413, "close")
    body = b'{"user": "' + b"x" * 1_100_000 + b'"}'
    assert page.ask("POST", SESSION_PATH, None, body, chunks=chunks).status == 413


def test_a_client_that_goes_in_the_middle_is_no_fault(page: Browser, capsys: pytest.CaptureFixture[str]) -> None:
    """The log has no error of the page for it."""
    assert ask(page.guard, "POST", SESSION_PATH, None, b'{"user": "an', cut=True).status == 400
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err


def test_an_unknown_user_takes_the_same_work(page: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """Time does not say whether there is such a user: one hash of the same cost is computed for both."""
    costs = []
    verify = argon2.PasswordHasher.verify

    def counted(hasher: argon2.PasswordHasher, hashed: str, password: str) -> bool:
        costs.append(argon2.extract_parameters(hashed))
        return verify(hasher, hashed, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counted)
    page.log_in("anna", OTHER_PASSWORD)
    page.log_in("nobody", OTHER_PASSWORD)
    assert len(costs) == 2
    assert costs[0] == costs[1]


def test_bodies_that_are_no_log_in_are_refused(page: Browser) -> None:
    """One clear refusal, whatever is sent."""
    for body in (b"", b"{}", b"[]", b'{"user": 1, "password": 2}', b"\xff", b'{"user": "' + b"x" * 2000 + b'"}'):
        assert page.ask("POST", SESSION_PATH, None, body).status == 400


@pytest.mark.usefixtures("page")
def test_a_proxy_that_is_named_says_who_asks(browser: Callable[..., Browser]) -> None:
    """The cookie is for TLS if the proxy encrypts; log-in without encryption is refused; nobody else gets past it."""
    proxied = browser(proxy={"trusted": ["127.0.0.1"]})
    proxied.headers = {
        "x-forwarded-for": "203.0.113.9",
        "x-forwarded-proto": "https",
        "origin": "https://127.0.0.1:8088",
    }
    reply = proxied.log_in()
    assert cookie(reply)["secure"]
    assert reply.header("strict-transport-security")
    assert passed(proxied.change())
    proxied.headers["x-forwarded-proto"] = "http"
    assert proxied.ask("POST", SESSION_PATH, {"origin": "http://127.0.0.1:8088"}, b"{}").status == 400
    assert (
        "encrypted"
        in ask(
            proxied.guard,
            "POST",
            SESSION_PATH,
            {"x-forwarded-proto": "http"},
            b'{"user": "anna", "password": "correct horse battery"}',
        ).json["error"]
    )
    proxied.client = ("203.0.113.9", 1)
    assert proxied.ask("GET", "/").status == 403


def test_a_proxy_may_name_the_user(browser: Callable[..., Browser]) -> None:
    """Its header counts from the proxy alone, by the table of roles, and changes need the token all the same."""
    proxy = {"trusted": ["10.0.0.7"], "user_header": "X-Remote-User", "roles": {"anna": "operator", "*": "viewer"}}
    page = browser(proxy=proxy)
    page.client = ("10.0.0.7", 1)
    page.headers = {"x-remote-user": "anna"}
    found = page.ask("GET", SESSION_PATH).json
    assert (found["user"], found["role"]) == ("anna", "operator")
    assert page.change().status == 403
    page.csrf = found["csrf"]
    assert passed(page.change())
    page.headers = {"x-remote-user": "otto"}
    assert page.ask("GET", SESSION_PATH).json["role"] == "viewer"
    page.headers = {}
    assert page.ask("GET", "/api/v1/cameras").status == 401
    page.client = LOCAL
    page.headers = {"x-remote-user": "anna"}
    assert page.ask("GET", "/api/v1/cameras").status == 401
