"""Take the pictures of the page that the guide shows: the demo's belt, each view, light and dark, narrow and wide.

    python -m tests.programs.screenshots DEMO FOLDER

DEMO is the folder of `make demo`. A device plays it, with the page beside; the views are taken while an object is in
view and alerts have happened. Files are named VIEW-THEME-WIDTH.webp; all together are at most 1.5 MB.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Page as Tab

from export.demo import clip
from export.demo.camera import belt_camera
from export.demo.show import BUNDLE
from tests.page.browser.rig import Page, Rig, until

WIDTHS = {360: 740, 1920: 1080}
"""A phone and a screen on a wall: width and height in pixels."""

THEMES = ("light", "dark")
QUALITY = 55
MAX_BYTES = 1_500_000
ALERTS = 3
"""So many objects have passed before the first picture is taken."""


def main() -> int:
    """Take all pictures; return 1 if they are too large together."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="shots-") as work, belt_camera(args.demo / clip.CLIP) as camera:
        bundle = (args.demo / BUNDLE).absolute()
        rig = Rig(Path(work), {"belt": camera}, bundle, {"device": "demo", "threads": 0})
        try:
            rig.device.start()
            with rig.page() as page, sync_playwright() as playwright:
                chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                take_all(page, chromium, args.folder)
                chromium.close()
        finally:
            rig.device.kill()
    size = sum(path.stat().st_size for path in args.folder.glob("*.webp"))
    print(f"{args.folder}: {size / 1e6:.2f} MB")
    return int(size > MAX_BYTES)


def take_all(page: Page, chromium: Browser, folder: Path) -> None:
    """Take each view in each theme and width."""
    until(lambda: len(page.get("alerts")["alerts"]) >= ALERTS, "alerts of the objects")
    key = page.get("cameras")["cameras"][0]["key"]
    device = page.get("devices")["devices"][0]["name"]
    alert = page.get("alerts")["alerts"][1]["id"]
    views: dict[str, tuple[str, Callable[[Tab], object]]] = {
        "live": ("live", in_view),
        "camera": (f"camera/{key}", in_view),
        "alerts": ("alerts", loaded),
        "alert": (f"alerts/{alert}", loaded),
        "teach": (f"teach/{key}", loaded),
        "tune": (f"tune/{key}", loaded),
        "device": (f"devices/{device}", loaded),
    }
    for theme in THEMES:
        for width, height in WIDTHS.items():
            size = {"width": width, "height": height}
            with chromium.new_context(viewport=size, color_scheme=theme, locale="en-GB") as context:
                tab = context.new_page()
                for name, (address, ready) in views.items():
                    tab.goto(f"{page.url}/#/{address}")
                    ready(tab)
                    save(tab, folder / f"{name}-{theme}-{width}.webp")


def loaded(tab: Tab) -> None:
    """Wait until what a view has asked for is there."""
    tab.wait_for_load_state("load")
    tab.wait_for_timeout(1500)  # pictures and charts are drawn after their answers


def in_view(tab: Tab) -> None:
    """Wait until an object is in view that has raised an alert."""
    tab.wait_for_function("document.querySelector('.alarmed')", timeout=120_000)
    tab.wait_for_timeout(300)


def save(tab: Tab, path: Path) -> None:
    """Save what is to be seen."""
    picture = Image.open(io.BytesIO(tab.screenshot()))
    picture.convert("RGB").save(path, "WEBP", quality=QUALITY, method=6)
    print(path)


if __name__ == "__main__":
    sys.exit(main())
