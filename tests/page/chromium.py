"""Debian's Chromium, and a tab in it that shows a page with invented cameras."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

PATIENCE_MS = 60_000
"""For what a browser waits for; other tests run at the same time."""

expect.set_options(timeout=PATIENCE_MS)

Scheme = Literal["light", "dark"]

_AXE = Axe().axe_script
_BROKEN = """options => axe.run({ ...options, resultTypes: ["violations"] }).then(found =>
    found.violations.flatMap(rule => rule.nodes.map(node => `${rule.id}: ${node.html}: ${node.failureSummary}`)))"""
"""The rules that are broken, and where; not what is right, which would be most of the answer."""
_OF_COLOURS = ["color-contrast", "link-in-text-block"]

_CHROMIUM = shutil.which("chromium")


@contextmanager
def launched() -> Iterator[Browser]:
    """Yield a browser without a screen; skip the test where there is none."""
    if _CHROMIUM is None:
        pytest.skip("needs a browser: `apt install chromium`")
    with sync_playwright() as playwright:
        # Debian's is not built for root, in whose name CI runs; nothing here is of others.
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(
    browser: Browser, serving: AbstractContextManager[str], route: str, height: int = 900, locale: str = "en-GB"
) -> Iterator[Page]:
    """Serve a page, and open it, by default in English; whatever the browser complains about fails the test."""
    complaints: list[str] = []
    size = {"width": 1280, "height": height}
    with serving as address, browser.new_context(locale=locale, viewport=size, reduced_motion="reduce") as context:
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if "Content Security" in said.text else None)
        page.on("request", lambda asked: complaints.append(asked.url) if not asked.url.startswith(address) else None)
        page.goto(address + route)
        yield page
    assert complaints == []


def check_axe(tab: Page, *looks: tuple[Scheme, int]) -> None:
    """Check that no rule of axe-core is broken by what a tab shows, in each of these colours and widths.

    A view is the same document in all of them, so that it need not be loaded again; where only the colours are others,
    only the rules about colours are looked at once more.
    """
    height = (tab.viewport_size or {"height": 900})["height"]
    widths = set()
    for scheme, width in looks:
        tab.emulate_media(color_scheme=scheme)
        tab.set_viewport_size({"width": width, "height": height})
        if tab.evaluate("!window.axe"):
            tab.evaluate(_AXE)
        found = tab.evaluate(_BROKEN, {"runOnly": _OF_COLOURS} if width in widths else {})
        assert found == [], f"{tab.url}, {scheme}, {width} px: {found}"
        widths.add(width)
