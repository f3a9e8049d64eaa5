"""What tests look at on the page, by what a person sees."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Locator, expect
from playwright.sync_api import Page as Tab

from tests.page.browser.rig import PASSWORD, Page

NAME = "Anna"

_MOVES = """canvas => new Promise(done => {
    const pen = new OffscreenCanvas(32, 32).getContext('2d', { willReadFrequently: true });
    const seen = new Set();
    const look = () => {
        pen.drawImage(canvas, 0, 0, 32, 32);
        const { data } = pen.getImageData(0, 0, 32, 32);
        seen.add(data.reduce((sum, value) => (sum * 31 + value) | 0));
        seen.size > 3 ? done(true) : requestAnimationFrame(look);
    };
    look();
})"""
"""Resolves once a canvas has shown some different pictures."""


def tile(tab: Tab, name: str) -> Locator:
    """Return what view Live shows of a camera."""
    return tab.locator(f'li.tile[data-key$="{name}"]')


def moves(picture: Locator) -> None:
    """Wait until a picture is not old, and has moved."""
    expect(picture).not_to_have_class(re.compile(r"\bold\b"))
    picture.locator("canvas").evaluate(_MOVES)


def key_of(page: Page, name: str) -> str:
    """Return the key of a camera."""
    return next(one["key"] for one in page.get("cameras")["cameras"] if one["name"] == name)


def open_alert(tab: Tab, page: Page, name: str) -> None:
    """Open the newest alert of a camera, from the list."""
    tab.goto(f"{page.url}/#/alerts?camera={key_of(page, name)}")
    tab.locator("ol.alerts a.alert-row").first.click()
    expect(tab.get_by_role("heading", name="Alert", exact=True)).to_be_visible()


def give_name(tab: Tab, name: str = NAME) -> None:
    """Answer the question for a name, which is asked once where there are no users."""
    tab.get_by_role("dialog").get_by_label("Name").fill(name)
    tab.get_by_role("button", name="Save the name").click()


@contextmanager
def killed_while_asked(tab: Tab, page: Page, method: str, camera: str) -> Iterator[None]:
    """Kill the page in the middle of the request that is sent in this block; start it again after the block.

    The tab must say that there was no answer, and that all is well again once there is a server.
    """
    page.freeze()
    with tab.expect_request(lambda request: request.method == method):
        yield
    page.kill()
    expect(tab.get_by_role("alert").get_by_text("The page's server does not answer")).to_be_visible()
    expect(tab.get_by_text(re.compile("No connection to the page's server"))).to_be_visible()
    page.start()
    page.until_live([camera])
    expect(tab.get_by_text(re.compile("No connection to the page's server"))).to_be_hidden()


def log_in(tab: Tab, page: Page, user: str, password: str = PASSWORD) -> None:
    """Fill in the log-in, and press the button."""
    if not tab.url.startswith(page.url):
        tab.goto(page.url)
    tab.get_by_label("Name").fill(user)
    tab.get_by_label("Password").fill(password)
    tab.get_by_role("button", name="Log in").click()
