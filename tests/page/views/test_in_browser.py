"""Alerts, Teach and Tune in Debian's Chromium, on a page with invented cameras that can be taught."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.chromium import check_axe, launched, opened
from tests.page.mock import HEIGHT, PASSWORD, WIDTH, now_ms
from tests.page.views.mock import serving
from tests.page.views.world import TaughtWorld, iso, stored

WIDE = 1280
APPEARS_S = 1.0
"""A new alert is in the list this long after the page's process has sent it."""
SAID_FINE = re.compile(r"Anna said \d+ s ago: this is fine\.")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a browser without a screen."""
    with launched() as browser:
        yield browser


@contextmanager
def showing(browser: Browser, world: TaughtWorld, route: str, name: str = "Anna") -> Iterator[Page]:
    """Open a page on a world; the browser knows the name of the person."""
    with opened(browser, serving(world), route) as page:
        if name:
            page.evaluate("name => localStorage.setItem('patchedge.name', name)", name)
        yield page


def test_a_new_alert_appears_by_itself(browser: Browser) -> None:
    """It is the first of the list within a second, and the row that had the focus keeps it."""
    world = TaughtWorld(cameras=2, rate=20.0)
    with showing(browser, world, "#/alerts") as page:
        rows = page.locator(".alert-row")
        expect(rows).to_have_count(14)
        page.keyboard.press("j")
        page.keyboard.press("j")
        focused = page.evaluate("document.activeElement.getAttribute('href')")
        began_s = time.monotonic()
        alert = world.raise_alert()
        page.wait_for_selector(f".alerts li:first-child[data-id='{alert['id']}']")
        assert time.monotonic() - began_s < APPEARS_S
        assert page.evaluate("document.activeElement.getAttribute('href')") == focused
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile(re.escape(focused)))


def test_a_false_alarm_is_taught_away_in_two_clicks(browser: Browser) -> None:
    """`This is fine`, `Learn now`; the name is asked for once; then the page says what no longer alarms.

    It can be taken back at the alert, before it was learned and after; and the alert says that it goes on all the same.
    """
    world = TaughtWorld(cameras=2)
    with showing(browser, world, "#/alerts", name="") as page:
        page.locator(".alert-row").first.click()
        page.get_by_role("button", name="This is fine").click()
        page.get_by_role("button", name="Cancel").click()
        assert world.pictures == []
        page.get_by_role("button", name="This is fine").click()
        page.get_by_label("Name").fill("Anna")
        page.get_by_role("button", name="Save the name").click()
        expect(page.get_by_text(SAID_FINE)).to_be_visible()
        page.get_by_role("button", name="Not fine after all").click()
        expect(page.get_by_role("button", name="This is fine")).to_be_visible()
        assert [one["decided"] for one in world.pictures] == ["rejected"]
        page.get_by_role("button", name="This is fine").click()
        alert = page.url
        world.takes_s = 3600.0
        page.get_by_role("button", name="Learn now").click()
        expect(page.get_by_text("The camera is learning. It goes on watching meanwhile.")).to_be_visible()
        world.takes_s = 0.4
        expect(page.get_by_text("1 of 1 learned pictures that alarmed are calm now.")).to_be_visible()
        expect(page.locator(".versions li.active")).to_contain_text("Version 1")
        assert page.evaluate("localStorage.getItem('patchedge.name')") == "Anna"
        page.goto(alert)
        expect(page.get_by_text("The camera has learned this picture, but the alarm goes on.")).to_be_visible()
        expect(page.get_by_role("button", name="Learn now")).to_have_count(0)
        page.get_by_role("button", name="Not fine after all").click()
        expect(page.get_by_text("If it shows a fault, go back to an earlier version.")).to_be_visible()


def test_after_going_back_an_alert_says_that_it_comes_again(browser: Browser) -> None:
    """What was learned of a false alarm and taken back is not promised any more, and may be called fine once more."""
    world = TaughtWorld(cameras=2)
    alert = next(iter(world.alerts.values()))
    world.false_alarm(alert, "Anna")
    world.pictures[0].update(decided="rejected", kind="aside")  # as the device leaves it after going back
    with showing(browser, world, f"#/alerts/{alert['id']}") as page:
        expect(
            page.get_by_text("The camera had learned this picture, but an earlier version is in use.")
        ).to_be_visible()
        expect(page.get_by_role("button", name="Learn now")).to_have_count(0)
        page.get_by_role("button", name="Not fine after all").click()
        page.get_by_role("button", name="This is fine").click()
        expect(page.get_by_role("button", name="Learn now")).to_be_visible()


def test_an_alert_without_a_stored_picture_says_what_to_do(browser: Browser) -> None:
    """Where the device has kept no picture to learn from, nothing is offered that it would refuse."""
    world = TaughtWorld(cameras=2)
    alert = next(one for one in world.alerts.values() if one["end_ms"])
    with showing(browser, world, f"#/alerts/{alert['id']}") as page:
        expect(page.get_by_text("The device has kept no picture of this alert to learn from")).to_be_visible()
        expect(page.get_by_role("button", name="This is fine")).to_have_count(0)
        page.get_by_role("link", name="Collect pictures").click()
        expect(page.get_by_role("heading", name="Collect pictures of what is normal")).to_be_visible()


def test_what_was_begun_is_there_after_a_reload(browser: Browser) -> None:
    """A comment, a slider and an area that were not sent yet outlive a reload, and go with their sending."""
    world = TaughtWorld(cameras=2)
    alert = next(iter(world.alerts.values()))
    with showing(browser, world, f"#/alerts/{alert['id']}") as page:
        page.get_by_label("New comment").fill("half a word")
        page.reload()
        expect(page.get_by_label("New comment")).to_have_value("half a word")
        page.get_by_role("button", name="Save the comment").click()
        expect(page.locator(".comment-text")).to_have_text("half a word")
        page.goto(page.url.partition("#")[0] + "#/tune/press-3%3Abelt")
        page.get_by_role("spinbutton", name="Threshold").fill("4.8")
        page.get_by_role("button", name="Add an area to ignore").click()
        expect(page.get_by_text("These settings are not in use yet.")).to_be_visible()
        page.reload()
        expect(page.get_by_role("spinbutton", name="Threshold")).to_have_value("4.8")
        expect(page.get_by_role("button", name="Use these areas")).to_be_enabled()
        page.get_by_role("button", name="Discard the drawing").click()
        world.alert_settings["threshold"] = 3.0  # somebody else was faster: what was begun on the old one is not kept
        page.reload()
        expect(page.get_by_role("spinbutton", name="Threshold")).to_have_value("3")
        expect(page.get_by_text("These settings are not in use yet.")).to_be_hidden()
        assert page.evaluate("Object.keys(sessionStorage).length") == 0


def test_a_real_fault_said_by_mistake_is_taken_back(browser: Browser) -> None:
    """`Real fault` has a way back, and the alert is a new one again."""
    world = TaughtWorld(cameras=2)
    alert = next(iter(world.alerts.values()))
    with showing(browser, world, f"#/alerts/{alert['id']}") as page:
        page.get_by_role("button", name="Real fault").click()
        page.get_by_role("button", name="Not a fault after all").click()
        expect(page.get_by_role("button", name="Real fault")).to_be_visible()
        assert alert["acknowledged"] is None


def test_what_is_called_fine_is_what_was_looked_at(browser: Browser) -> None:
    """The picture and its boxes stay as they were when it was opened; another one has to be looked at first."""
    world = TaughtWorld(cameras=2)
    alert = next(iter(world.alerts.values()))
    with showing(browser, world, f"#/alerts/{alert['id']}") as page:
        fine = page.get_by_role("button", name="This is fine")
        expect(fine).to_be_enabled()
        world.kept_score = 7.5
        fine.click()
        expect(page.get_by_text("The picture has changed: look again.")).to_be_visible()
        assert (alert["false_alarm"], world.pictures) == (None, [])
        expect(page.get_by_text("Everything in the 2 boxes is learned as normal.")).to_be_visible()
        expect(page.get_by_role("link", name="Collect pictures without the fault")).to_be_visible()
        alert.update(picture_score=9.5, peak_score=9.5, boxes=[])
        world.news.append(alert)
        expect(page.get_by_text("There is a newer picture.")).to_be_visible()
        expect(page.get_by_text("Everything in the 2 boxes is learned as normal.")).to_be_visible()
        fine.click()
        expect(page.get_by_text(SAID_FINE)).to_be_visible()


def test_what_has_no_picture_is_not_called_fine(browser: Browser) -> None:
    """The button waits for the picture; another fault in an alert that was learned is asked about by its picture."""
    world = TaughtWorld(cameras=2)
    alert = next(iter(world.alerts.values()))
    alert.update(has_picture=False, picture_score=None)
    with showing(browser, world, f"#/alerts/{alert['id']}") as page:
        fine = page.get_by_role("button", name="This is fine")
        expect(page.locator(".decision").get_by_text("The picture is coming.")).to_be_visible()
        expect(fine).to_be_disabled()
        alert.update(has_picture=True, picture_score=alert["peak_score"])
        world.news.append(alert)
        fine.click()
        page.get_by_role("button", name="Learn now").click()
        expect(page.get_by_text("1 alert that you called fine is silent now:")).to_be_visible()
        page.locator(".silent-alert").first.click()
        expect(page.get_by_role("button", name="Collect 20 more pictures")).to_be_visible()
        alert.update(peak_score=9.5, picture_score=9.5, peak_ms=now_ms() + 1000)
        world.news.append(alert)
        expect(page.get_by_text("Something else alarms now: look.")).to_be_visible()
        expect(fine).to_be_enabled()
        expect(page.locator(".view-head .labels")).to_contain_text("stronger since")
        page.goto(re.sub("#.*", "#/camera/press-3%3Abelt", page.url))


def test_the_alerts_of_a_camera_stay_within_it(browser: Browser) -> None:
    """The tab Alerts has those of the camera alone, and its tabs are there in the list and at an alert, and back."""
    world = TaughtWorld(cameras=2)
    with showing(browser, world, "#/teach/press-3%3Abelt") as page:
        tabs = page.get_by_role("navigation", name="Camera belt")
        tabs.get_by_role("link", name="Alerts").click()
        rows = page.locator(".alert-row")
        expect(rows).to_have_count(7)
        expect(rows.locator("strong")).to_have_text(["belt"] * 7)
        expect(tabs.get_by_role("link", name="Alerts")).to_have_attribute("aria-current", "page")
        page.get_by_role("button", name="Is fine").click()
        expect(rows).to_have_count(1)
        rows.click()
        expect(page.get_by_role("heading", name="Alert", exact=True)).to_be_visible()
        expect(tabs).to_be_visible()
        page.get_by_role("link", name="All alerts").click()
        expect(rows).to_have_count(1)
        expect(tabs).to_be_visible()


def test_pictures_are_collected_judged_and_learnt(browser: Browser) -> None:
    """What was set aside is judged one by one, in the large view and all at once; nothing else is learnt."""
    world = TaughtWorld(cameras=2)
    with showing(browser, world, "#/teach/press-3%3Abelt") as page:
        page.get_by_role("button", name="Collect pictures").click()
        expect(page.get_by_text("20 of 20 pictures. 4 of them were set aside.")).to_be_visible()
        page.get_by_role("button", name="Look at them").click()
        expect(page.locator("#step-aside .sheet .thumbnail-button").first).to_be_focused()
        sheet = page.get_by_role("list", name="Pictures that were set aside")
        expect(sheet.locator("li")).to_have_count(4)
        sheet.get_by_role("button", name="Not normal").first.click()
        expect(sheet.locator("li")).to_have_count(3)
        sheet.locator(".thumbnail-button").first.click()
        page.keyboard.press("n")
        expect(sheet.locator("li")).to_have_count(2)
        page.keyboard.press("Escape")
        page.get_by_role("button", name="All are normal").click()
        expect(page.get_by_text("Nothing is set aside.")).to_be_visible()
        expect(page.get_by_text("It will learn from 18 pictures: 16 collected, 2 set aside")).to_be_visible()
        page.locator("#step-learn").get_by_role("button", name="Learn now").click()
        expect(page.get_by_text("2 of 2 learned pictures that alarmed are calm now.")).to_be_visible()
        expect(page.get_by_text("and 4 more")).to_be_visible()
        expect(page.locator(".verdicts .warn")).to_have_text(re.compile("2 of 71 test faults are no longer found."))
        expect(page.locator(".next-warn")).to_contain_text("it finds less than before")
        page.locator(".in-use").get_by_role("button", name="Go back to: First version").click()
        page.get_by_role("dialog").get_by_role("button", name="Go back to this").click()
        expect(page.locator(".versions li.active")).to_contain_text("First version")
        expect(page.locator(".in-use")).to_have_text(re.compile("In use: First version"))


def test_set_aside_pictures_are_easy_to_judge(browser: Browser) -> None:
    """The strangest comes first, with its boxes; what was taken back says so, and is accepted again with one press."""
    world = TaughtWorld(cameras=2)
    begin = now_ms() - 3_600_000
    for number, score in enumerate((2.6, 9.6, 4.8)):
        world.pictures.append(stored(number, "aside", score, begin + number, boxes=[[10, 20, 30, 40]]))
    world.pictures += [stored(5, "taught", 1.2, begin + 5), stored(6, "aside", 1.2, begin + 6, decided="rejected")]
    learned = world.version(1, world.versions[0]["id"])
    world.versions.append({**learned, "active": False})
    world.pictures[3].update(decided="rejected", kind="aside")  # as the device leaves it after going back
    with showing(browser, world, "#/teach/press-3%3Abelt") as page:
        sheet = page.get_by_role("list", name="Pictures that were set aside")
        expect(sheet.locator("li p").first).to_have_text("4 times the threshold")
        expect(sheet.locator("li").first.locator("rect")).to_have_count(1)
        back = page.get_by_role("list", name="Taken back")
        expect(back.locator("li")).to_have_count(1)
        expect(back.locator("li")).to_contain_text("Taken back")
        page.get_by_role("button", name="All are normal").last.click()
        expect(back.locator("li")).to_have_count(0)
        assert [one["decided"] for one in world.pictures] == ["", "", "", "accepted", "rejected"]


def test_what_may_get_worse_waits_for_a_person(browser: Browser) -> None:
    """The problem is said in plain words; it can be left, or used after a second question."""
    world = TaughtWorld(cameras=2)
    world.careful = True
    world.false_alarm(next(iter(world.alerts.values())), "Anna")
    with showing(browser, world, "#/teach/press-3%3Abelt") as page:
        learn = page.locator("#step-learn").get_by_role("button", name="Learn now")
        learn.click()
        expect(page.locator(".consent").get_by_text("21 of 71 test faults would be missed.")).to_be_visible()
        page.get_by_role("button", name="Do not use it").click()
        expect(page.locator(".consent")).to_have_count(0)
        expect(page.locator(".versions li")).to_have_count(1)
        learn.click()
        page.get_by_role("button", name="Use it all the same").click()
        page.get_by_role("dialog").get_by_role("button", name="Use it all the same").click()
        expect(page.locator(".versions li.active")).to_contain_text("Version 1")


def test_settings_are_tried_applied_and_taken_back(browser: Browser) -> None:
    """A slider says what would have been, nothing changes before it is applied, and the last change is undone."""
    world = TaughtWorld(cameras=2)
    with showing(browser, world, "#/tune/press-3%3Abelt") as page:
        expect(page.get_by_text("As it is: 41 alerts in 1 h.")).to_be_visible()
        page.get_by_role("spinbutton", name="Threshold").fill("4.8")
        expect(page.get_by_text("With these: 1 alert in place of 41")).to_be_visible()
        expect(page.get_by_text("40 alerts would no longer be raised:")).to_be_visible()
        expect(page.get_by_text("Counted since")).to_be_hidden()
        world.versions[0].update(at=iso(now_ms() - 600_000))
        page.get_by_role("button", name="the last hour").click()
        expect(page.get_by_text("Counted since")).to_be_visible()
        world.versions[0].update(at="")
        assert world.alert_settings["threshold"] is None
        apply = page.get_by_role("button", name="Use these settings")
        apply.click()
        expect(page.locator(".changes li")).to_contain_text("Threshold: the learned one → 4.80")
        assert world.alert_settings["threshold"] == pytest.approx(4.8)
        expect(apply).to_be_disabled()
        page.get_by_role("button", name="Take back this change").click()
        expect(page.get_by_text("Nothing was changed from this page yet.")).to_be_visible()


def test_a_device_that_is_away_is_waited_for(browser: Browser) -> None:
    """Teach and Tune say that the device does not answer, and show everything by themselves once it does."""
    world = TaughtWorld(cameras=2)
    world.away.set()
    said = "the device `press-3` does not answer"
    with showing(browser, world, "#/teach/press-3%3Abelt") as page:
        expect(page.locator(".next")).to_have_text(said)
        expect(page.locator(".notice")).to_have_count(0)
        page.goto(page.url.replace("teach", "tune"))
        expect(page.locator(".notice")).to_contain_text(said)
        page.get_by_role("link", name="Picture").first.click()
        expect(page.locator(".camera .picture")).to_be_visible()
        expect(page.locator(".notice")).to_have_count(0)
        page.get_by_role("link", name="Tune").first.click()
        expect(page.locator(".notice")).to_contain_text(said)
        world.away.clear()
        expect(page.get_by_text("As it is: 41 alerts in 1 h.")).to_be_visible()
        expect(page.locator(".notice")).to_have_count(0)
        page.get_by_role("link", name="Teach").click()
        expect(page.locator(".next")).not_to_contain_text(said)


def test_the_line_of_the_threshold_can_be_dragged(browser: Browser) -> None:
    """The number follows the line on the curve."""
    with showing(browser, TaughtWorld(cameras=2), "#/tune/press-3%3Abelt") as page:
        expect(page.get_by_text("As it is: 41 alerts in 1 h.")).to_be_visible()
        number, over = page.get_by_role("spinbutton", name="Threshold"), page.locator(".u-over")
        before, box = float(number.input_value()), over.bounding_box()
        assert box is not None
        top = 2.4 * 1.12  # of the axis: the threshold, and some room
        y = box["y"] + box["height"] * (1 - before / top)
        page.mouse.move(box["x"] + 200, y)
        page.mouse.down()
        page.mouse.move(box["x"] + 200, y + box["height"] / 4, steps=3)
        page.mouse.up()
        assert float(number.input_value()) == pytest.approx(before - top / 4, rel=0.05)


def test_areas_are_drawn_by_mouse_and_by_keyboard(browser: Browser) -> None:
    """A rectangle is dragged, its corner is moved with the arrow keys; the device gets whole pixels of the frame."""
    world = TaughtWorld(cameras=2)
    with showing(browser, world, "#/tune/press-3%3Abelt") as page:
        drawing = page.locator(".area-drawing")
        drawing.scroll_into_view_if_needed()
        box = drawing.bounding_box()
        assert box is not None
        scale = box["width"] / WIDTH
        page.mouse.move(box["x"] + 100 * scale, box["y"] + 80 * scale)
        page.mouse.down()
        page.mouse.move(box["x"] + 200 * scale, box["y"] + 160 * scale, steps=5)
        page.mouse.move(box["x"] + 300 * scale, box["y"] + 200 * scale, steps=5)
        page.mouse.up()
        share = round(100 * 200 * 120 / (WIDTH * HEIGHT))
        expect(page.get_by_text(f"With this, {share} % of the picture would not be checked.")).to_be_visible()
        page.get_by_role("button", name=re.compile("^Area to ignore 1, corner 1:")).focus()
        page.keyboard.press("Shift+ArrowLeft")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Tab")
        page.keyboard.press("Delete")
        page.get_by_role("button", name="Use these areas").click()
        expect(page.locator(".changes li")).to_contain_text("Areas to ignore: 0 areas → 1 area")
        (area,) = world.areas["ignore"]
        assert [[round(at, -1) for at in corner] for corner in area] == [[90, 80], [300, 200], [100, 200]]
        assert all(isinstance(at, int) for corner in area for at in corner)
        page.get_by_role("button", name="Take back the last drawing step").click()
        expect(page.get_by_role("button", name=re.compile("corner 4"))).to_be_visible()


def test_a_viewer_can_look_at_everything_and_change_nothing(browser: Browser) -> None:
    """No view has a button that would change something; what may be seen is there."""
    world = TaughtWorld(cameras=2, log_in=True)
    with showing(browser, world, "#/alerts") as page:
        page.get_by_label("Name").fill("otto")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        page.locator(".alert-row").first.click()
        expect(page.locator(".evidence-picture")).to_be_visible()
        expect(page.locator("main button")).to_have_count(0)
        for view, seen in (("teach", ".versions li"), ("tune", ".uplot")):
            page.goto(re.sub("#.*", f"#/{view}/press-3%3Abelt", page.url))
            expect(page.locator(seen).first).to_be_visible()
            for name in ("Collect pictures", "Learn now", "Use these settings", "Use these areas"):
                expect(page.get_by_role("button", name=name)).to_have_count(0)


def test_words_of_people_stay_words(browser: Browser) -> None:
    """Markup in a comment, in a name and in a problem is shown as it was written, and nothing of it runs."""
    evil = "<img src=x onerror=\"document.title='gotcha'\"><b>bold</b>"
    world = TaughtWorld(cameras=2)
    alert = next(iter(world.alerts.values()))
    alert["comments"] = [{"by": evil, "at_ms": alert["start_ms"], "text": evil}]
    alert["acknowledged"] = {"by": evil, "at_ms": alert["start_ms"]}
    world.learning.update(state="failed", reason=evil)
    with showing(browser, world, f"#/alerts/{alert['id']}") as page:
        expect(page.locator(".comment-text")).to_have_text(evil)
        page.goto(re.sub("#.*", "#/teach/press-3%3Abelt", page.url))
        expect(page.locator(".ended")).to_have_text(f"Not learned: {evil}")
        assert page.title() != "gotcha"
        assert page.locator("main b").count() == 0


def test_axe_finds_nothing(browser: Browser) -> None:
    """The checks of axe-core find no violation in any state of the views, light and dark."""
    world = TaughtWorld(cameras=2)
    world.careful = True
    world.false_alarm(next(iter(world.alerts.values())), "Anna")
    alert = list(world.alerts)[3]
    with showing(browser, world, "#/alerts") as page:

        def check(seen: str) -> None:
            expect(page.locator(seen).first).to_be_visible()
            check_axe(page, ("light", WIDE), ("dark", WIDE))

        check(".alert-row")
        page.goto(re.sub("#.*", f"#/alerts/{alert}", page.url))
        check(".comment-text")
        page.goto(re.sub("#.*", "#/teach/press-3%3Abelt", page.url))
        page.get_by_role("button", name="Collect pictures").click()
        check(".sheet > li")
        expect(page.get_by_text("20 of 20 pictures.")).to_be_visible()
        page.locator("#step-learn").get_by_role("button", name="Learn now").click()
        check(".consent")
        page.locator(".thumbnail-button").first.click()
        check("dialog img")
        page.keyboard.press("Escape")
        page.goto(re.sub("#.*", "#/tune/press-3%3Abelt", page.url))
        page.get_by_role("button", name="Add an area to ignore").click()
        check(".area-dot")
