"""The fleet in Debian's Chromium, on a page with an invented one."""

from __future__ import annotations

import msgspec
import pytest
from playwright.sync_api import Locator, Page, expect

from edge_config.wire.fleet import Assignment, CameraReport, DeviceReport, Rollout
from runtime.fleet.rollout.status import status_of
from tests.page.chromium import check_axe, launched, opened
from tests.page.mock import Json, World, now_ms, serving

pytestmark = pytest.mark.slow

OLD, NEW = "0a" * 32, "0b" * 32


def invented() -> Json:
    """Return a fleet of three devices: in place, refused with lessons, off; and a roll-out that stopped."""
    at_ms = now_ms()
    belt = CameraReport(camera="belt", state="live", root=NEW, active=NEW, alerts_per_hour=0.5, frame_ms_p95=21.0)
    learnt = msgspec.structs.replace(belt, root=OLD, active="0c" * 32, round=2, learnt=12, settings_changed=("ignore",))
    reports = [
        DeviceReport(device="edge-1", groups=("press",), at_ms=at_ms, phase="in place", counter=7, cameras=(belt,)),
        DeviceReport(
            device="edge-2", groups=("press",), at_ms=at_ms, phase="refused", reason="parity", cameras=(learnt,)
        ),
        DeviceReport(device="edge-3", groups=("hall",), at_ms=at_ms - 10**9),
    ]
    assignment = Assignment(counter=7, target="group:press", root=NEW, pack_sha256="cd" * 32, pack_bytes=9)
    rollout = Rollout(
        id="20261127-101500-ab12",
        by="anna",
        group="press",
        root=NEW,
        devices=("edge-1", "edge-2"),
        stages=(("edge-1",), ("edge-2",)),
        stage=2,
        state="stopped",
        reason="edge-2 refused: parity",
        since_ms=at_ms,
        back=("edge-2",),
        baseline={"edge-1": {}, "edge-2": {}},
        counters={"edge-1": 7},
    )
    status = status_of({one.device: one for one in reports}, [assignment], {rollout.id: rollout}, at_ms)
    found: Json = msgspec.to_builtins(status)
    return found


def test_the_fleet_at_a_glance() -> None:
    """It says what each device should run and runs, which lessons would be dropped, and why a roll-out stopped.

    Without a fleet in the settings there is no such place on the page.
    """
    world = World(cameras=2)
    with launched() as browser:
        with opened(browser, serving(world), "#/live") as page:
            expect(places(page).get_by_role("link", name="Devices")).to_be_visible()
            expect(places(page).get_by_role("link", name="Fleet")).to_have_count(0)
        world.fleet = invented()
        with opened(browser, serving(world), "#/live") as page:
            places(page).get_by_role("link", name="Fleet").click()
            expect(
                page.get_by_text("3 devices, 2 on, 1 with what they should run · 1 refused or went back")
            ).to_be_visible()
            rows = page.locator("tbody tr")
            expect(rows).to_have_count(3)
            expect(rows.nth(1)).to_contain_text("learned 12 pictures on the device")
            expect(rows.nth(1)).to_contain_text("What is assigned does not have these pictures.")
            expect(rows.nth(1)).to_contain_text("Changed on the device: ignore")
            stopped = page.locator(".rollouts li", has_text="20261127-101500-ab12")
            expect(stopped).to_contain_text("edge-2 refused: parity")
            expect(stopped).to_contain_text("Going back: edge-2")
            page.get_by_label("Find a device or a group").fill("hall")
            expect(rows).to_have_count(1)
            page.get_by_label("Find a device or a group").fill("")
            check_axe(page, ("light", 1280), ("dark", 360))
            page.get_by_label("Language").select_option("de")
            expect(page.get_by_role("heading", name="Verteilungen")).to_be_visible()


def places(page: Page) -> Locator:
    """Return the navigation."""
    return page.get_by_role("navigation", name="Places")
