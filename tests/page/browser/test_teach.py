"""A person says on the page what is normal, and the camera learns it."""

from __future__ import annotations

from playwright.sync_api import Page as Tab
from playwright.sync_api import expect

from edge_config.wire.messages import ScoreMessage
from runtime.client.subscriber import Subscriber
from tests.page.browser.conftest import Log
from tests.page.browser.rig import Page, Rig, until
from tests.page.browser.see import give_name, key_of, open_alert
from tests.support.processes import ENOUGH_S

LEARN_MS = 60_000
FRAMES = 10
"""One second: more than an alert needs to begin."""


def labels(subscriber: Subscriber, camera: str, count: int) -> list[str]:
    """Return the labels of the next frames of a camera."""
    found: list[str] = []
    while len(found) < count:
        received = subscriber.receive(ENOUGH_S)
        assert received is not None
        if isinstance(received.message, ScoreMessage) and received.message.camera == camera:
            found.append(received.message.label)
    return found


def shown(rig: Rig, camera: str, *objects: str) -> list[str]:
    """Show something, and return the labels of the frames of a second of it, without those before it came."""
    with Subscriber(rig.events, kinds=("score",)) as subscriber:
        rig.cameras[camera].show(*objects)
        labels(subscriber, camera, FRAMES)
        return labels(subscriber, camera, FRAMES)


def test_a_false_alarm_is_taught_away(tab: Tab, page: Page, rig: Rig, log: Log) -> None:
    """After "This is fine" and "Learn now" the same object raises no alert, and another one still does.

    "This is fine" may be taken back before, and said again. The page's process dies while the camera learns: the view
    goes on when it is back.
    """
    assert set(shown(rig, "belt", "blue")) == {"anomalous"}
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
    log.expected += ["ERR_", "No connection", "does not answer", "ApiError"]
    page.kill()
    page.start()
    expect(tab.get_by_text("It is in use").first).to_be_visible(timeout=LEARN_MS)
    assert set(shown(rig, "belt", "blue")) == {"normal"}
    until(lambda: not page.get(f"cameras/{key_of(page, 'belt')}")["alert"], "the end of the alert")
    assert set(shown(rig, "belt", "red")) == {"anomalous"}
