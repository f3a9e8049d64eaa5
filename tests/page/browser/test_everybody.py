"""The page can be used without a mouse, without colours, and by users that hear it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, expect
from playwright.sync_api import Page as Tab

from tests.page.browser.conftest import Log
from tests.page.browser.rig import Page, Rig, until
from tests.page.browser.see import NAME, key_of, log_in, moves, tile
from tests.page.chromium import PATIENCE_MS, Scheme, check_axe

LOOKS: tuple[tuple[Scheme, int], ...] = (("light", 1280), ("dark", 360))
"""Light on a screen, and dark on a phone."""


@pytest.fixture
def still(chromium: Browser) -> Iterator[Tab]:
    """Yield a tab in which nothing moves but pictures."""
    with chromium.new_context(locale="en-GB", reduced_motion="reduce") as context:
        log = Log(context)
        log.expected += ["401", "429"]  # of wrong passwords
        context.set_default_timeout(PATIENCE_MS)
        yield context.new_page()
        assert not log.abroad
        assert not log.unexpected()


def test_axe_finds_nothing(still: Tab, page: Page, rig: Rig) -> None:
    """No rule of axe-core is broken on any view."""
    rig.cameras["gate"].show("green")
    key = key_of(page, "gate")
    alert = until(lambda: page.get(f"cameras/{key}")["alert"], "an alert")["id"]
    still.goto(page.url)
    moves(tile(still, "gate").locator(".picture"))
    check_axe(still, *LOOKS)
    for view in (f"camera/{key}", "alerts", f"alerts/{alert}", f"teach/{key}", f"tune/{key}", "devices/edge"):
        still.evaluate("document.querySelectorAll('h1').forEach(one => { one.dataset.before = '' })")
        still.goto(f"{page.url}/#/{view}")
        expect(still.locator("h1:not([data-before])").first).to_be_attached()
        check_axe(still, *LOOKS)


def test_axe_finds_nothing_at_the_log_in(still: Tab, guarded: Page) -> None:
    """Nor is one where people log in, before and after a wrong password."""
    still.goto(guarded.url)
    expect(still.get_by_label("Password")).to_be_visible()
    check_axe(still, *LOOKS)
    log_in(still, guarded, "nobody")
    expect(still.locator("form").get_by_role("alert")).not_to_be_empty()
    check_axe(still, *LOOKS)


def test_keyboard_alone_is_enough(tab: Tab, page: Page, rig: Rig) -> None:
    """With keys alone a person comes from the first page to an alert, notes that it was seen, and comments on it."""
    rig.cameras["gate"].show("green")
    until(lambda: page.get(f"cameras/{key_of(page, 'gate')}")["alert"], "an alert")
    tab.goto(page.url)
    expect(tile(tab, "gate").locator(".open-alert")).to_be_visible()
    tab.keyboard.press("Tab")
    expect(tab.get_by_text("Skip to the content")).to_be_focused()
    to_alerts = tab.get_by_role("navigation", name="Places").get_by_role("link", name="Alerts")
    press_until_focused(tab, to_alerts)
    tab.keyboard.press("Enter")
    expect(tab.locator("ol.alerts a").first).to_be_visible()
    tab.keyboard.press("j")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("button", name="This is fine")).to_be_visible()
    tab.keyboard.press("a")
    expect(tab.get_by_role("dialog")).to_be_visible()
    tab.keyboard.type(NAME)
    tab.keyboard.press("Enter")
    expect(tab.get_by_text(f"A real fault, says {NAME}, ")).to_be_visible()
    tab.keyboard.press("c")
    tab.keyboard.type("Loose screw")
    press_until_focused(tab, tab.get_by_role("button", name="Save the comment"))
    tab.keyboard.press("Enter")
    expect(tab.locator(".comments")).to_contain_text("Loose screw")


def press_until_focused(tab: Tab, wanted: Locator, most: int = 30) -> None:
    """Press Tab until something has the focus."""
    for _ in range(most):
        if wanted.evaluate("node => node === document.activeElement"):
            return
        tab.keyboard.press("Tab")
    expect(wanted).to_be_focused()
