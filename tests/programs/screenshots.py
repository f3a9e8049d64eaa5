"""Take the pictures of the page that the guide shows: the demo's belt, each view, light and dark, narrow and wide.

    python -m tests.programs.screenshots DEMO FOLDER

DEMO is the folder of `make demo`. A device plays it, with the page beside; the views are taken while an object is in
view and alerts have happened. Files are named VIEW-THEME-WIDTH.webp; all together are at most 1.5 MB.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright
from playwright.sync_api import Page as Tab

from export.demo import clip
from export.demo.camera import pictures_of
from export.demo.show import BUNDLE
from tests.page.browser.rig import Page, Rig, until
from tests.page.chromium import Scheme
from tests.programs.bench.played_camera import PlayedCamera
from tests.support.fakes.http import served
from tests.support.processes import DEVICE

WIDTHS = {360: 740, 1920: 1080}
"""A phone and a screen on a wall: width and height in pixels."""

_LOADED = """Promise.all([...document.images].filter(one => one.src && one.getBoundingClientRect().top < innerHeight)
    .map(one => one.decode().catch(() => 0)))"""
"""Resolves when the pictures that are in view are there; others may be loaded when they come into view."""

THEMES: tuple[Scheme, ...] = ("light", "dark")
QUALITY = 45
MAX_BYTES = 1_500_000
CAMERAS, STRIDE = ("belt", "scales"), 4
"""Two cameras that see the same belt at other times, every fourth frame of it: few enough for any machine."""

WAIT_S = 120.0
ALERTS = 3
"""So many objects have passed before the first picture is taken."""


def main() -> int:
    """Take all pictures; return 1 if they are too large together."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    film = pictures_of(args.demo / clip.CLIP)[::STRIDE]
    with tempfile.TemporaryDirectory(prefix="shots-") as work, ExitStack() as stack:
        cameras = {}
        for number, name in enumerate(CAMERAS):
            at = number * len(film) // len(CAMERAS)
            cameras[name] = PlayedCamera(film[at:] + film[:at], clip.FPS / STRIDE)
            stack.enter_context(served(cameras[name], cameras[name].unplugged))
        bundle = (args.demo / BUNDLE).absolute()
        rig = Rig(Path(work), cameras, bundle, {"device": "hall", "threads": 0})
        try:
            rig.device.start()
            with rig.page() as page, sync_playwright() as playwright:
                chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                until(lambda: len(page.get("alerts")["alerts"]) >= ALERTS, "alerts of the objects", WAIT_S)
                teach = [*DEVICE, "teach", "start", "belt", "--count", "24", "--every-ms", "250"]
                subprocess.run([*teach, "--control", rig.control], check=True)
                take_all(page, chromium, args.folder)
                with rig.page("guarded", {"anna": "operator"}) as guarded:
                    take_log_in(guarded, chromium, args.folder)
                chromium.close()
        finally:
            rig.device.kill()
    size = sum(path.stat().st_size for path in args.folder.glob("*.webp"))
    print(f"{args.folder}: {size / 1e6:.2f} MB")
    return int(size > MAX_BYTES)


def take_all(page: Page, chromium: Browser, folder: Path) -> None:
    """Take each view in each theme and width."""
    key = page.get("cameras")["cameras"][0]["key"]
    device = page.get("devices")["devices"][0]["name"]
    alert = page.get("alerts")["alerts"][1]["id"]
    views = {
        "live": "live",
        "camera": f"camera/{key}",
        "alerts": "alerts",
        "alert": f"alerts/{alert}",
        "teach": f"teach/{key}",
        "tune": f"tune/{key}",
        "device": f"devices/{device}",
    }
    for tab, look in tabs(chromium):
        for name, address in views.items():
            show(tab, page, name, address)
            save(tab, folder / f"{name}-{look}.webp")


def take_log_in(page: Page, chromium: Browser, folder: Path) -> None:
    """Take the log-in of a page with users."""
    for tab, look in tabs(chromium):
        tab.goto(page.url)
        tab.get_by_label("Password").wait_for()
        save(tab, folder / f"login-{look}.webp")


def tabs(chromium: Browser) -> Iterator[tuple[Tab, str]]:
    """Yield a tab for each theme and width, and what pictures of it are called."""
    for theme in THEMES:
        for width, height in WIDTHS.items():
            size = {"width": width, "height": height}
            with chromium.new_context(viewport=size, color_scheme=theme, locale="en-GB") as context:
                context.set_default_timeout(1000 * WAIT_S)
                yield context.new_page(), f"{theme}-{width}"


def show(tab: Tab, page: Page, name: str, address: str) -> None:
    """Show a view, with all that it has asked for; live ones with an object that raises an alert."""
    tab.goto(f"{page.url}/#/{address}")
    tab.locator(f".view-{address.partition('/')[0]} > *").first.wait_for(state="attached")
    if name in {"live", "camera"}:
        tab.locator(".picture:not(.old)").first.wait_for()
        tab.locator(".alarmed:visible").first.wait_for()
    elif name == "alert":
        expect(tab.locator(".view-alerts video, .view-alerts .facts").first).to_be_visible()
    tab.wait_for_timeout(1500)  # for what is drawn after the answers: charts, thumbnails
    tab.evaluate(_LOADED)


def save(tab: Tab, path: Path) -> None:
    """Save what is to be seen."""
    picture = Image.open(io.BytesIO(tab.screenshot()))
    picture.convert("RGB").save(path, "WEBP", quality=QUALITY, method=6)
    print(path)


if __name__ == "__main__":
    sys.exit(main())
