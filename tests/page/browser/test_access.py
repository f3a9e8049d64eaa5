"""People with passwords: viewers change nothing, and guesses are slowed down."""

from __future__ import annotations

import json
import re
from typing import Any

from playwright.sync_api import BrowserContext, Route, expect
from playwright.sync_api import Page as Tab

from tests.page.browser.conftest import CAMERAS, Log
from tests.page.browser.rig import PASSWORD, Page
from tests.page.browser.see import key_of, log_in

CHANGES = re.compile(
    "^(This is fine|False alarm|Save .*|Collect .*|Learn .*|Use these .*|Take back .*|Add an .*|Check now)$"
)
"""Buttons that change something."""

FORBIDDEN = 403
TRIES = 10


def test_a_viewer_sees_everything_and_changes_nothing(
    tab: Tab, context: BrowserContext, guarded: Page, page: Page, log: Log
) -> None:
    """A viewer has no button that changes something, and every request of the API that would is refused with 403."""
    log.expected += ["401", "403"]
    log_in(tab, guarded, "otto")
    expect(tab.locator("li.tile")).to_have_count(len(CAMERAS))
    key = key_of(page, "gate")
    for view in ("live", f"camera/{key}", "alerts", f"teach/{key}", f"tune/{key}", "devices/edge"):
        tab.goto(f"{guarded.url}/#/{view}")
        expect(tab.locator("#main h1, #main h2").first).to_be_attached()
        expect(tab.get_by_role("button", name=CHANGES)).to_have_count(0)
    csrf = tab.evaluate("fetch('api/v1/session').then(reply => reply.json()).then(session => session.csrf)")
    operations = changes(json.loads(context.request.get(f"{guarded.url}/api/v1/openapi.json").text()))
    assert len(operations) > TRIES
    for method, path in operations:
        address = path.replace("{key}", key).replace("{device}", "edge").replace("{id}", "00000000-0000-4000-8000-0001")
        reply = context.request.fetch(
            guarded.url + address, method=method, headers={"X-CSRF-Token": csrf, "Origin": guarded.url}, data={}
        )
        assert reply.status == FORBIDDEN, f"{method} {path}: {reply.status} {reply.text()[:200]}"


def changes(description: Any) -> list[tuple[str, str]]:
    """Return method and path of all operations that change something, but logging in and out."""
    return [
        (method.upper(), path)
        for path, operations in description["paths"].items()
        for method in operations
        if method in {"post", "put", "delete", "patch"} and not path.endswith(("/session", "/simulate"))
    ]


def test_an_operator_logs_in_and_out(tab: Tab, guarded: Page, log: Log) -> None:
    """With the right password all is there, over a restart of the page too; after "Log out" nothing is."""
    log.expected += ["401", "ERR_", "does not answer"]
    log_in(tab, guarded, "anna")
    expect(tab.locator("li.tile")).to_have_count(len(CAMERAS))
    expect(tab.get_by_text("anna, operator")).to_be_visible()
    tab.get_by_role("button", name="Log out").click()
    expect(tab.get_by_label("Password")).to_be_visible()
    expect(tab.locator("li.tile")).to_have_count(0)


def test_nothing_can_be_typed_while_the_password_is_checked(tab: Tab, guarded: Page, log: Log) -> None:
    """The fields take no letters until there is an answer: it empties the password, and they would be lost."""
    log.expected += ["401"]
    editable: list[bool] = []

    def look(route: Route) -> None:
        if route.request.method == "POST":
            editable.extend(tab.get_by_label(label).is_editable() for label in ("Name", "Password"))
        route.continue_()

    tab.route("**/api/v1/session", look)
    log_in(tab, guarded, "anna", "wrong")
    expect(tab.locator("p.alarm")).not_to_be_empty()
    expect(tab.get_by_label("Password")).to_be_editable()
    assert editable == [False, False]


def tried(tab: Tab, page: Page, password: str) -> int:
    """Try to log in; return the status of the answer."""
    with tab.expect_response(lambda reply: reply.request.method == "POST") as answered:
        log_in(tab, page, "anna", password)
    return answered.value.status


def test_ten_wrong_passwords_lock_the_door(tab: Tab, guarded: Page, log: Log) -> None:
    """A guess is refused without saying what was wrong; after ten even the right password has to wait.

    It is the last test of this module: the page lets nobody in after it.
    """
    log.expected += ["401", "429"]
    for number in range(TRIES):
        assert tried(tab, guarded, f"guess {number}") in {401, 429}
    assert tried(tab, guarded, PASSWORD) == 429
    expect(tab.locator("body")).to_contain_text(re.compile("wait|again in", re.IGNORECASE))
    expect(tab.locator("li.tile")).to_have_count(0)
