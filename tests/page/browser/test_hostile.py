"""What a hostile device or person writes stays text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zmq
from playwright.sync_api import Page as Tab
from playwright.sync_api import expect

from edge_config.wire.messages import StateMessage
from tests.page.browser.conftest import CAMERAS, Log
from tests.page.browser.rig import Page, Rig, until
from tests.page.browser.see import give_name, key_of, open_alert, tile

SCRIPT = "<img src=x onerror=\"document.title='mine'\"><script>document.title='mine'</script>"
"""Were it not text, the title of the page would change, and a request for `x` would be in the browser's log."""

COMMON = {
    "schema": "patchedge.state.v1",
    "device": "evil",
    "epoch": "6f9619ff-8b86-4d11-b42d-00c04fc964ff",
    "t_publish_ns": 1_700_000_000_123_456_789,
    "bundle": "ab" * 32,
    "state": "disconnected",
}


class HostileDevice:
    """A publisher that says what it wants, and answers no request.

    Attributes:
        devices: the page's settings for it.
    """

    def __init__(self, folder: Path) -> None:
        self.devices = {"evil": {"events": f"ipc://{folder}/evil", "control": f"ipc://{folder}/evil-control"}}
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.bind(self.devices["evil"]["events"])
        self._seq = 0

    def say(self, camera: str, **fields: Any) -> None:
        """Publish a state."""
        self._seq += 1
        body = COMMON | {"camera": camera, "seq": self._seq, "reason": SCRIPT} | fields
        self._socket.send_multipart([f"v1/state/evil/{camera}/".encode(), json.dumps(body).encode()])

    def close(self) -> None:
        """Say nothing more."""
        self._context.destroy(linger=0)


@pytest.fixture
def evil(rig: Rig) -> Iterator[HostileDevice]:
    """Yield a device that is not what it seems."""
    device = HostileDevice(rig.folder)
    yield device
    device.close()


def test_what_a_device_says_is_text(tab: Tab, rig: Rig, evil: HostileDevice, log: Log) -> None:
    """A reason with a script in it is shown as it is; names that are none are not shown at all."""
    log.expected += ["503", "502"]  # it answers no request
    msgspec.convert(COMMON | {"camera": "a", "seq": 1, "reason": SCRIPT}, StateMessage)  # the wire allows it
    with rig.page("hostile", devices=rig.of_page | evil.devices) as page:

        def heard() -> bool:
            evil.say("press")
            evil.say(SCRIPT)
            evil.say("bar", device=SCRIPT)
            return any(one["name"] == "press" and one["reason"] for one in page.get("cameras")["cameras"])

        until(heard, "the page hears the device")
        tab.goto(page.url)
        expect(tile(tab, "press").locator(".state")).to_contain_text(SCRIPT)
        assert {one["name"] for one in page.get("cameras")["cameras"]} - {*CAMERAS} <= {"press", "bar"}
        assert {one["device"] for one in page.get("cameras")["cameras"]} == {"edge", "evil"}
        tab.goto(f"{page.url}/#/devices/evil")
        expect(tab.get_by_text("Not reached since")).to_be_visible()
        assert "mine" not in tab.title()


def test_what_a_person_writes_is_text(tab: Tab, page: Page, rig: Rig, log: Log) -> None:
    """A comment, and the name of the person that wrote it, are shown as they are; addresses are no more than names."""
    log.expected += ["404"]
    rig.cameras["gate"].show("red")
    until(lambda: page.get(f"cameras/{key_of(page, 'gate')}")["alert"], "an alert")
    open_alert(tab, page, "gate")
    tab.get_by_label("New comment").fill(SCRIPT)
    tab.get_by_role("button", name="Save the comment").click()
    give_name(tab, "<b>Eve</b>")
    expect(tab.locator(".comments")).to_contain_text(SCRIPT)
    expect(tab.locator(".comments")).to_contain_text("<b>Eve</b>")
    tab.goto(f"{page.url}/#/alerts/{SCRIPT}")
    expect(tab.get_by_text("This alert is not there any more")).to_be_visible()
    tab.goto(f"{page.url}/#/alerts?text={SCRIPT}&state=open")
    expect(tab.get_by_text("1 alert", exact=True)).to_be_visible()
    assert "mine" not in tab.title()
