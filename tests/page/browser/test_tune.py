"""A person draws regions and moves the threshold on the page, and the device does as it was told."""

from __future__ import annotations

import re

from playwright.sync_api import Page as Tab
from playwright.sync_api import expect

from edge_config.wire.messages import AlertMessage
from runtime.client.subscriber import Subscriber
from tests.page.browser.camera import HEIGHT, WIDTH, box
from tests.page.browser.conftest import Log
from tests.page.browser.rig import Page, Rig
from tests.page.browser.see import NAME, give_name, key_of, killed_while_asked
from tests.page.browser.test_teach import shown
from tests.support.processes import ENOUGH_S

MARGIN = 4
"""Pixels around an object that are ignored, too."""

FRAMES = 18
"""1.8 s: an alert ends after 1 s of calm, and a busy machine shows frames of the scene before for some time."""

BETWEEN = 100.0
"""A threshold that the faint object is below, and the red one above."""


def test_nothing_is_scored_in_a_region_that_is_ignored(tab: Tab, page: Page, rig: Rig) -> None:
    """An object in a rectangle that was drawn over it raises no score; the same object and another one do."""
    assert set(shown(rig, "oven", "green")) == {"anomalous"}
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
    expect(tab.locator("ol.changes li").first).to_contain_text("ignore: default → 1 polygon")
    assert set(shown(rig, "oven", "green")) == {"normal"}
    assert set(shown(rig, "oven", "green", "red")) == {"anomalous"}
    assert "ignore" in rig.config.read_text()


def alerts_of(rig: Rig, camera: str) -> int:
    """Show a faint object and a red one, one after the other; return the number of alerts that begin."""
    count = 0
    with Subscriber(rig.events, kinds=("alert", "score")) as subscriber:
        for objects in (("faint",), (), ("red",), ()):
            rig.cameras[camera].show(*objects)
            seen = 0
            while seen < FRAMES:
                received = subscriber.receive(ENOUGH_S)
                assert received is not None
                message = received.message
                if message.camera == camera:
                    seen += not isinstance(message, AlertMessage)
                    count += isinstance(message, AlertMessage) and message.phase == "start"
    return count


def test_a_threshold_does_what_its_preview_said(tab: Tab, page: Page, rig: Rig, log: Log) -> None:
    """The number of alerts that the preview promises is the number that come; "Undo" takes it back.

    The page's process dies while it is asked to apply them: nothing is applied, the draft stays, and can be applied.
    """
    assert alerts_of(rig, "shelf") == 2
    tab.goto(f"{page.url}/#/tune/{key_of(page, 'shelf')}")
    expect(tab.get_by_text("As it is: 2 alerts")).to_be_visible()
    tab.get_by_role("spinbutton", name="Threshold").fill(str(BETWEEN))
    expect(tab.get_by_text("With these: 1 alert in place of 2")).to_be_visible()
    tab.get_by_role("button", name="Use these settings").click()
    log.expected += ["ERR_", "does not answer"]
    with killed_while_asked(tab, page, "PUT", "shelf"):
        give_name(tab)
    assert "threshold" not in rig.config.read_text()
    expect(tab.get_by_text("With these: 1 alert in place of 2")).to_be_visible()
    tab.get_by_role("button", name="Use these settings").click()
    expect(tab.locator("ol.changes li").first).to_contain_text("threshold: default → 100")
    expect(tab.locator("ol.changes li").first).to_contain_text(NAME)
    assert alerts_of(rig, "shelf") == 1
    assert re.search(rf"threshold: {BETWEEN:g}", rig.config.read_text())
    tab.get_by_role("button", name="Undo the last change").click()
    expect(tab.get_by_text("The last change was taken back")).to_be_visible()
    assert alerts_of(rig, "shelf") == 2
