"""The page can be used without a mouse, without colours, and by users that hear it."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, expect
from playwright.sync_api import Page as Tab

from tests.page.browser.conftest import PATIENCE_MS, Log
from tests.page.browser.rig import Page, Rig, until
from tests.page.browser.see import NAME, key_of, moves, tile


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 360)])
def test_axe_finds_nothing(chromium: Browser, page: Page, rig: Rig, theme: str, width: int) -> None:
    """No rule of axe-core is broken on any view, light on a screen and dark on a phone."""
    rig.cameras["gate"].show("green")
    key = key_of(page, "gate")
    until(lambda: page.get(f"cameras/{key}")["alert"], "an alert")
    alert = page.get(f"cameras/{key}")["alert"]["id"]
    size = {"width": width, "height": 800}
    with chromium.new_context(locale="en-GB", color_scheme=theme, viewport=size, reduced_motion="reduce") as context:
        log = Log(context)
        context.set_default_timeout(PATIENCE_MS)
        tab = context.new_page()
        tab.goto(page.url)
        moves(tile(tab, "gate").locator(".picture"))
        for view in (
            "live",
            f"camera/{key}",
            "alerts",
            f"alerts/{alert}",
            f"teach/{key}",
            f"tune/{key}",
            "devices/edge",
        ):
            tab.goto(f"{page.url}/#/{view}")
            expect(tab.locator("h1").first).to_be_attached()
            found = Axe().run(tab)
            assert found.violations_count == 0, f"{view}: {found.generate_report()}"
        assert not log.abroad
        assert not log.unexpected()


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
    expect(tab.get_by_text(f"Seen by {NAME}, ")).to_be_visible()
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
