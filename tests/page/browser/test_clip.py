"""The clip of an alert plays in a browser."""

from __future__ import annotations

from playwright.sync_api import Page as Tab

from tests.page.browser.rig import Page, Rig, until

PLAY_MS = 60_000
SOME_S = 0.3


def test_clip_plays(tab: Tab, page: Page, rig: Rig) -> None:
    """When an alert is over, its clip plays in Chromium, in the size of the camera's pictures."""
    rig.cameras["gate"].show("red")
    found = until(lambda: page.get("alerts?camera=edge:gate")["alerts"], "the alert")[0]
    rig.cameras["gate"].show()
    until(lambda: page.get(f"alerts/{found['id']}")["end_ms"], "its end")
    tab.goto(f"{page.url}/#/alerts/{found['id']}")
    video = tab.locator("video")
    video.wait_for(timeout=PLAY_MS)
    video.evaluate("(video) => video.play()")
    tab.wait_for_function("(some) => document.querySelector('video').currentTime > some", arg=SOME_S, timeout=PLAY_MS)
    assert video.evaluate("(video) => [video.videoWidth, video.videoHeight, video.error]") == [256, 192, None]
    assert video.evaluate("(video) => video.duration") > 1
