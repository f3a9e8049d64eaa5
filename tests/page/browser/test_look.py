"""What a person sees on the page, live."""

from __future__ import annotations

import re

from playwright.sync_api import Page as Tab
from playwright.sync_api import expect

from edge_config.wire.messages import AlertMessage
from runtime.client.subscriber import Subscriber
from tests.page.browser.conftest import Log
from tests.page.browser.rig import Page, Rig, until
from tests.page.browser.see import NAME, give_name, key_of, killed_while_asked, moves, open_alert, tile
from tests.support.processes import ENOUGH_S

MAX_ALERT_MS = 1000

_WHEN_ALARMED = """tile => { window.alarmed = new Promise(done => new MutationObserver((_, watch) => {
    if (tile.classList.contains('alarmed')) { watch.disconnect(); done(Date.now()); }
}).observe(tile, {attributes: true, attributeFilter: ['class']})); }"""


def test_first_visit_shows_live_pictures(tab: Tab, page: Page, rig: Rig) -> None:
    """A person that opens the page for the first time sees the picture of each camera, and it moves."""
    tab.goto(page.url)
    for name in rig.cameras:
        expect(tile(tab, name).get_by_role("link", name=name)).to_be_visible()
        moves(tile(tab, name).locator(".picture"))


def test_an_alert_is_there_within_a_second(tab: Tab, page: Page, rig: Rig) -> None:
    """The camera is marked within 1 s after its device has published the start of an alert."""
    tab.goto(page.url)
    belt = tile(tab, "belt")
    moves(belt.locator(".picture"))
    belt.evaluate(_WHEN_ALARMED)
    with Subscriber(rig.events, kinds=("alert",)) as subscriber:
        rig.cameras["belt"].show("red")
        received = subscriber.receive(ENOUGH_S)
        assert received is not None
        assert isinstance(received.message, AlertMessage)
        assert received.message.phase == "start"
        seen_ms = tab.evaluate("window.alarmed")
    assert 0 <= seen_ms - received.message.t_publish_ns / 1e6 < MAX_ALERT_MS
    expect(belt.locator(".open-alert")).to_contain_text("Alert for")
    rig.cameras["belt"].show()
    expect(belt.locator(".open-alert")).to_be_hidden()


def test_a_camera_that_is_gone_is_grey_and_comes_back(tab: Tab, page: Page, rig: Rig) -> None:
    """An unplugged camera's last picture is greyed and says since when; plugged in again, it is live."""
    tab.goto(page.url)
    gate = tile(tab, "gate")
    moves(gate.locator(".picture"))
    rig.cameras["gate"].unplugged.set()
    expect(gate.locator(".state")).to_have_text(re.compile(r"since \d\d:\d\d"))
    expect(gate.locator(".picture")).to_have_class(re.compile(r"\bold\b"))
    expect(gate.locator(".age")).to_have_text(re.compile(r"Last picture .*\d\d:\d\d:\d\d, \d+ s ago"))
    rig.cameras["gate"].unplugged.clear()
    expect(gate.locator(".state")).to_have_text("Live")
    moves(gate.locator(".picture"))


def test_a_page_that_restarts_is_whole_again(tab: Tab, page: Page, log: Log) -> None:
    """While the page's server is away all is old and the banner says so; then all is live without a reload."""
    tab.goto(page.url)
    shelf = tile(tab, "shelf")
    moves(shelf.locator(".picture"))
    log.expect_restart()
    page.kill()
    expect(tab.get_by_text(re.compile("No connection to the page's server"))).to_be_visible()
    expect(shelf.locator(".picture")).to_have_class(re.compile(r"\bold\b"))
    page.start()
    expect(tab.get_by_text(re.compile("No connection to the page's server"))).to_be_hidden()
    moves(shelf.locator(".picture"))


def test_what_was_said_of_an_alert_outlives_the_page(tab: Tab, page: Page, rig: Rig, log: Log) -> None:
    """The page's process dies while a comment is sent: what was noted before is kept, the comment can be sent again."""
    rig.cameras["gate"].show("red")
    key = key_of(page, "gate")
    until(lambda: page.get(f"cameras/{key}")["alert"], "an alert")
    open_alert(tab, page, "gate")
    tab.get_by_role("button", name="Real fault").click()
    give_name(tab)
    expect(tab.get_by_text(f"A real fault, says {NAME}, ")).to_be_visible()
    tab.get_by_label("New comment").fill("Loose screw")
    log.expect_restart()
    with killed_while_asked(tab, page, "POST", "gate"):
        tab.get_by_role("button", name="Save the comment").click()
    (alert,) = page.get(f"alerts?camera={key}&state=acknowledged&limit=1")["alerts"]
    assert (alert["acknowledged"]["by"], alert["comments"]) == (NAME, [])
    rig.cameras["gate"].show()
    expect(tab.locator(".label-open")).to_have_count(0)  # the view hears of its end by itself
    expect(tab.get_by_text(f"A real fault, says {NAME}, ")).to_be_visible()
    tab.get_by_role("button", name="Save the comment").click()
    expect(tab.locator(".comments li")).to_have_count(1)
    expect(tab.locator(".comments")).to_contain_text("Loose screw")
