"""A person draws regions and moves the threshold on the page, and the device does as it was told."""

from __future__ import annotations

import re

from playwright.sync_api import Page as Tab
from playwright.sync_api import expect

from tests.page.browser.camera import HEIGHT, WIDTH, box
from tests.page.browser.conftest import Log
from tests.page.browser.rig import Page, Rig
from tests.page.browser.scenes import alarms, alerts_of, labels
from tests.page.browser.see import NAME, give_name, key_of, killed_while_asked

MARGIN = 4
"""Pixels around an object that are ignored, too."""

BETWEEN = 100.0
"""A threshold that the faint object is below, and the red one above."""


def test_nothing_is_scored_in_a_region_that_is_ignored(tab: Tab, page: Page, rig: Rig) -> None:
    """An object in a rectangle that was drawn over it raises no score; the same object and another one do."""
    alarms(rig, "oven", "green")
    tab.goto(f"{page.url}/#/tune/{key_of(page, 'oven')}")
    drawing = tab.locator("svg.area-drawing")
    drawing.scroll_into_view_if_needed()
    place = drawing.bounding_box()
    assert place is not None
    x, y, width, height = box("green")
    scale_x, scale_y = place["width"] / WIDTH, place["height"] / HEIGHT
    tab.mouse.move(place["x"] + (x - MARGIN) * scale_x, place["y"] + (y - MARGIN) * scale_y)
    tab.mouse.down()
    tab.mouse.move(place["x"] + (x + width + MARGIN) * scale_x, place["y"] + (y + height + MARGIN) * scale_y, steps=8)
    tab.mouse.up()
    tab.get_by_role("button", name="Use these areas").click()
    give_name(tab)
    expect(tab.locator("ol.changes li").first).to_contain_text("Areas to ignore: 0 areas → 1 area")
    assert labels(rig, "oven", "green") == {"normal"}
    alarms(rig, "oven", "green", "red")
    assert "ignore" in rig.config.read_text()


def test_a_threshold_does_what_its_preview_said(tab: Tab, page: Page, rig: Rig, log: Log) -> None:
    """The number of alerts that the preview promises is the number that come; "Take back" takes it back.

    The page's process dies while it is asked to apply them: nothing is applied, the draft stays, and can be applied.
    """
    assert alerts_of(rig, "shelf", "faint", "red") == 2
    tab.goto(f"{page.url}/#/tune/{key_of(page, 'shelf')}")
    expect(tab.get_by_text("As it is: 2 alerts")).to_be_visible()
    tab.get_by_role("spinbutton", name="Threshold").fill(str(BETWEEN))
    expect(tab.get_by_text("With these: 1 alert in place of 2")).to_be_visible()
    tab.get_by_role("button", name="Use these settings").click()
    log.expect_restart()
    with killed_while_asked(tab, page, "PUT", "shelf"):
        give_name(tab)
    assert "threshold" not in rig.config.read_text()
    expect(tab.get_by_text("With these: 1 alert in place of 2")).to_be_visible()
    tab.get_by_role("button", name="Use these settings").click()
    expect(tab.locator("ol.changes li").first).to_contain_text("Threshold: the learned one → 100")
    expect(tab.locator("ol.changes li").first).to_contain_text(NAME)
    assert alerts_of(rig, "shelf", "faint", "red") == 1
    assert re.search(rf"threshold: {BETWEEN:g}", rig.config.read_text())
    tab.get_by_role("button", name="Take back this change").click()
    expect(tab.get_by_text("The change was taken back")).to_be_visible()
    assert alerts_of(rig, "shelf", "faint") == 1
