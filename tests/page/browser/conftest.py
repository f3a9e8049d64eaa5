"""A device, the page and a browser, started once for all tests; after each of them, a look at the browser's log."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Request
from playwright.sync_api import Page as Tab

from tests.page.browser.rig import Page, Rig, device
from tests.page.chromium import PATIENCE_MS, launched

GROUP = "the page in a browser"
CAMERAS = ("belt", "gate", "oven", "shelf")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keep these tests in one process of pytest-xdist: they share a device."""
    item.add_marker(pytest.mark.xdist_group(GROUP))
    item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def no_thread_left() -> None:
    """Allow threads to come and go: the cameras, which outlive a test, have one for each connection."""


@pytest.fixture(scope="package")
def rig() -> Iterator[Rig]:
    """Yield a device with four cameras that see a normal scene."""
    with device(*CAMERAS) as rig:
        yield rig


@pytest.fixture(autouse=True)
def quiet(request: pytest.FixtureRequest) -> None:
    """Begin with cameras that work, and see a normal scene."""
    if "rig" in request.fixturenames:
        for camera in request.getfixturevalue("rig").cameras.values():
            camera.show()
            camera.unplugged.clear()


@pytest.fixture(scope="package")
def page(rig: Rig) -> Iterator[Page]:
    """Yield a page on which everybody of this machine may do everything."""
    with rig.page() as page:
        page.until_live(CAMERAS)
        yield page


@pytest.fixture(scope="package")
def guarded(rig: Rig) -> Iterator[Page]:
    """Yield a page with two users: anna, an operator, and otto, a viewer."""
    with rig.page("guarded", {"anna": "operator", "otto": "viewer"}) as page:
        yield page


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Yield Debian's Chromium."""
    with launched() as browser:
        yield browser


class Log:
    """What a browser did, as far as no page of ours may do it.

    Attributes:
        abroad: requests to others than the page.
        errors: what it wrote as an error into its console, and exceptions that nothing caught.
        expected: texts of errors that a test provokes.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.abroad: list[str] = []
        self.errors: list[str] = []
        self.expected = ["409 (Conflict)"]  # a clip is asked for until it is there
        context.on("request", self._requested)
        context.on("console", self._wrote)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))

    def _requested(self, request: Request) -> None:
        if urlsplit(request.url).hostname not in {"127.0.0.1", None} and not request.url.startswith("data:"):
            self.abroad.append(request.url)

    def _wrote(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.errors.append(f"{message.text} ({message.location.get('url')})")

    def expect_restart(self) -> None:
        """Expect what is said while the page's process is away, and until it has heard from its devices again."""
        self.expected += ["ERR_", "No connection", "does not answer", "ApiError", "404 (Not Found)"]

    def unexpected(self) -> list[str]:
        """Return the errors that no test has announced."""
        return [error for error in self.errors if not any(text in error for text in self.expected)]


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """Yield a browser without a past."""
    with chromium.new_context(locale="en-GB", viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(PATIENCE_MS)
        yield context


@pytest.fixture
def log(context: BrowserContext) -> Iterator[Log]:
    """Yield the browser's log; no request may have left the machine at the end, and no error be in the console."""
    log = Log(context)
    yield log
    assert not log.abroad
    assert not log.unexpected()


@pytest.fixture
def tab(context: BrowserContext, log: Log) -> Tab:
    """Return an empty tab, whose log is kept."""
    assert log.unexpected() == []
    return context.new_page()
