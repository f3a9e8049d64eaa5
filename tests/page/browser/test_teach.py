"""A person says on the page what is normal, and the camera learns it."""

from __future__ import annotations

from playwright.sync_api import Page as Tab
from playwright.sync_api import expect

from tests.page.browser.conftest import Log
from tests.page.browser.rig import Page, Rig, until
from tests.page.browser.scenes import alarms, labels
from tests.page.browser.see import give_name, key_of, open_alert

LEARN_MS = 180_000


def test_a_false_alarm_is_taught_away(tab: Tab, page: Page, rig: Rig, log: Log) -> None:
    """After "This is fine" and "Learn now" the same object raises no alert, and another one still does.

    "This is fine" may be taken back before, and said again. The page's process dies while the camera learns: the view
    goes on when it is back.
    """
    alarms(rig, "belt", "blue")
    until(lambda: page.get(f"cameras/{key_of(page, 'belt')}")["alert"], "the alert")
    open_alert(tab, page, "belt")
    tab.get_by_role("button", name="This is fine").click()
    give_name(tab)
    expect(tab.get_by_text("Anna said")).to_be_visible()
    tab.get_by_role("button", name="Not fine after all").click()
    tab.get_by_role("button", name="This is fine").click()
    expect(tab.get_by_text("Anna said")).to_be_visible()
    tab.get_by_role("button", name="Learn now").click()
    expect(tab.get_by_text("The camera is learning")).to_be_visible()
    log.expect_restart()
    page.kill()
    page.start()
    expect(tab.get_by_text("It is in use").first).to_be_visible(timeout=LEARN_MS)
    expect(tab.get_by_text("1 alert that you called fine is silent now:")).to_be_visible()
    expect(tab.locator(".silent-alert .boxed rect").first).to_be_attached()  # the device has kept where it was
    assert labels(rig, "belt", "blue") == {"normal"}
    until(lambda: not page.get(f"cameras/{key_of(page, 'belt')}")["alert"], "the end of the alert")
    alarms(rig, "belt", "red")
