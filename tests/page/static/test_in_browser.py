"""The front end in Debian's Chromium, on a page with invented cameras: what it says when nothing comes any more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.chromium import launched, opened
from tests.page.mock import PASSWORD, World, serving
from tests.page.static.test_told import NO_WORDS, all_texts

MANY = 200
"""There are more sentences than these."""

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("the front end in a browser")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return a browser without a screen."""
    with launched() as browser:
        yield browser


def showing(browser: Browser, world: World, route: str, locale: str = "en-GB") -> AbstractContextManager[Page]:
    """Open a page on a world."""
    return opened(browser, serving(world), route, height=720, locale=locale)


def test_a_picture_is_greyed_once_no_new_one_comes(browser: Browser) -> None:
    """After 3 s without a picture it is shown as old, with its time and age, and as live again when one comes."""
    world = World(cameras=2)
    with showing(browser, world, "#/live") as page:
        page.clock.install()
        tile = page.locator("[data-key='press-3:belt']")
        expect(tile.locator(".picture:not(.old)")).to_be_visible()
        world.quiet.set()
        page.clock.fast_forward(3000)
        expect(tile.locator(".picture.old")).to_be_visible()
        expect(tile.locator(".age")).to_have_text(re.compile(r"Last picture \d\d:\d\d:\d\d, \d+ s ago"))
        first = tile.locator(".age").inner_text()
        expect(tile.locator(".age")).not_to_have_text(first)
        expect(tile.locator(".state")).to_have_text("Live, but no picture reaches this page")
        world.quiet.clear()
        expect(tile.locator(".picture:not(.old)")).to_be_visible()


def test_a_server_that_is_gone_is_said_and_found_again(browser: Browser) -> None:
    """A banner says that the server is gone and all pictures are old; the page reconnects without being told to."""
    world = World(cameras=2)
    with showing(browser, world, "#/live") as page:
        expect(page.locator(".picture:not(.old)")).to_have_count(2)
        world.refusing.set()
        expect(page.locator(".banner")).to_have_text(re.compile("No connection to the page's server"))
        expect(page.locator(".picture.old")).to_have_count(2)
        world.refusing.clear()
        expect(page.locator(".banner")).to_be_hidden()
        expect(page.locator(".picture:not(.old)")).to_have_count(2)


def test_pictures_are_asked_for_only_while_they_are_seen(browser: Browser) -> None:
    """On a phone the page asks for the pictures on the screen, and for none where no picture is shown."""
    world = World(cameras=10)
    with showing(browser, world, "#/devices") as page:
        page.set_viewport_size({"width": 360, "height": 640})
        expect(page.get_by_role("heading", name="Cameras and versions")).to_be_visible()
        assert not [path for path in world.asked if "previews=" in path]
        page.goto(page.url.replace("#/devices", "#/live"))
        expect(page.locator(".picture:not(.old)").first).to_be_visible()
        last = [path for path in world.asked if "previews=" in path][-1]
        assert 1 <= last.count("press-3") < world.count


def test_a_viewer_sees_nothing_that_changes(browser: Browser) -> None:
    """After log-in a viewer sees the alert, and no button that would change something; an operator sees them."""
    world = World(cameras=3, log_in=True)
    with showing(browser, world, "#/camera/press-3%3Apress-left") as page:
        for user, sees in (("otto", 0), ("anna", 1)):
            page.get_by_label("Name").fill(user)
            page.get_by_label("Password").fill("wrong")
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_role("alert")).to_have_text("the name or the password is wrong")
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Log in").click()
            expect(page.get_by_role("link", name="Look at the alert")).to_be_visible()
            expect(page.get_by_role("button", name="This is fine")).to_have_count(0)  # not beside the live picture
            expect(page.get_by_role("link", name="Tune")).to_have_count(2 * sees if sees else 1)
            page.get_by_role("button", name="Log out").click()
            expect(page.get_by_label("Name")).to_be_visible()


def test_language_and_colours_are_remembered(browser: Browser) -> None:
    """German and dark colours, once chosen, are there after a reload; what the page says of itself is German, too."""
    world = World(cameras=6)
    world.notice = "The page shows everything, but can store nothing: the disk is full"
    with showing(browser, world, "#/live") as page:
        expect(page.locator(".own-notice")).to_have_text(world.notice)
        page.get_by_label("Language").select_option("de")
        page.get_by_label("Farben", exact=True).select_option("dark")
        page.reload()
        notice = "Die Seite zeigt alles, kann aber nichts speichern: the disk is full"
        expect(page.locator(".own-notice")).to_have_text(notice)
        expect(page.get_by_role("link", name="Geräte")).to_be_visible()
        expect(page.locator("[data-key='press-3:lids']")).to_contain_text("Lernt: Neues hinzufügen, 30 %")
        expect(page.locator("[data-key='press-3:welder']")).to_contain_text("kein solches Gerät")
        expect(page.locator("[data-key='press-3:press-right']")).to_contain_text("das Bild ist heller als gelernt")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert page.evaluate("document.documentElement.lang") == "de"


@pytest.mark.parametrize(("locale", "clock"), [("en-US", "02:02:11 PM"), ("en-GB", "14:02:11"), ("de-DE", "14:02:11")])
def test_hours_are_those_of_the_browser(browser: Browser, locale: str, clock: str) -> None:
    """Times are written as the browser's own language writes them, in German to 24 h."""
    with showing(browser, World(cameras=1), "#/live", locale) as page:
        expect(page.locator(".tile")).to_be_visible()
        said = page.evaluate("import('/core/time.js').then(({ clock }) => clock(new Date().setHours(14, 2, 11)))")
        assert said.replace("\u202f", " ") == clock


def test_a_camera_is_named_with_its_device_where_there_are_several(browser: Browser) -> None:
    """One device: the camera alone; two of them: the device before it, in all views."""
    world = World(cameras=2)
    world.more_devices = [{**world.device(), "name": "press-4", "cameras": []}]
    with showing(browser, world, "#/live") as page:
        expect(page.locator(".tile h2")).to_have_text(["press-3: belt", "press-3: press-left"])
        page.goto(re.sub("#.*", "#/alerts", page.url))
        expect(page.locator(".alert-row strong")).to_have_text("press-3: press-left")


def test_the_chart_leads_to_its_alerts_and_follows_the_chosen_span(browser: Browser) -> None:
    """Each alert is a link on the chart, and another span loads the scores of that span."""
    world = World(cameras=2)
    with showing(browser, world, "#/camera/press-3%3Apress-left") as page:
        expect(page.locator(".band")).to_have_attribute("href", re.compile("#/alerts/0b5c1e6e"))
        with page.expect_request(re.compile("/scores")) as asked:
            page.get_by_role("button", name="24 h").click()
        expect(page.get_by_role("button", name="24 h")).to_have_attribute("aria-pressed", "true")
        spans = re.search(r"from_ms=(\d+)&to_ms=(\d+)", asked.value.url)
        assert spans
        assert abs(int(spans[2]) - int(spans[1]) - 86_400_000) < 10


def test_a_device_says_how_it_fares(browser: Browser) -> None:
    """The view of a device has frames a second, the worst finding of doctor first, its log, and its orders."""
    with showing(browser, World(cameras=2), "#/devices/press-3") as page:
        frames = page.locator(".small-chart", has_text="Frames a second").locator("b")
        expect(frames).to_have_text(re.compile(r"^(49|50|51)$"))
        page.get_by_role("button", name="Check now").click()
        expect(page.locator(".doctor tr").first).to_contain_text("the disk is full")
        expect(page.locator(".log li:visible")).to_have_count(8)
        page.get_by_label("Show").select_option("warning")
        expect(page.locator(".log li:visible")).to_have_count(2)
        expect(page.get_by_role("row", name=re.compile("anna key 3f3f3f3f collect pictures"))).to_have_count(3)


def test_an_address_that_means_nothing_leads_to_the_cameras(browser: Browser) -> None:
    """An unknown view, or an address that was cut off, shows the cameras."""
    for route in ("#/constructor", "#/%E0%A4%A", "#/camera"):
        with showing(browser, World(cameras=1), route) as page:
            expect(page.locator("[data-key='press-3:belt']")).to_be_visible()


def test_cameras_have_their_places_and_a_phone_shows_alerts_first(browser: Browser) -> None:
    """Cameras stand in the order of their names; on a phone one with an open alert comes before them."""
    world = World(cameras=4)
    with showing(browser, world, "#/live") as page:
        expect(page.locator(".tile h2")).to_have_text(["belt", "press-left", "press-right", "welder"])
        page.set_viewport_size({"width": 360, "height": 700})
        expect(page.locator(".tile.alarmed")).to_be_visible()
        first, alarmed = (page.locator(css).first.bounding_box() for css in (".tile", ".tile.alarmed"))
        assert first
        assert alarmed
        assert alarmed["y"] < first["y"]


def test_a_camera_that_is_not_known_is_said_until_it_comes(browser: Browser) -> None:
    """The address of a camera whose device has not answered yet says so, and shows the camera as soon as it comes."""
    world = World(cameras=1)
    with showing(browser, world, "#/camera/press-3%3Agate") as page:
        expect(page.get_by_role("heading", name="This page knows no camera gate.")).to_be_visible()
        expect(page.locator(".notice")).to_have_count(0)
        world.count = 10
        expect(page.locator(".camera .picture")).to_be_visible()


def test_a_device_that_does_not_answer_is_named_where_cameras_would_be(browser: Browser) -> None:
    """Where a device that is set up cannot be reached, the live view says which, since when, and what to do."""
    world = World(cameras=0)
    device = world.device()
    world.more_devices = [{**device, "name": "press-4", "connected": False, "error": "not connected"}]
    with showing(browser, world, "#/live") as page:
        expect(page.locator(".empty")).to_contain_text("No answer from the device press-4 since")
        expect(page.locator(".empty")).to_contain_text("Check its power and network.")


def test_a_state_says_what_to_do(browser: Browser) -> None:
    """A camera whose pictures cannot be judged says what a person can do about it."""
    with showing(browser, World(cameras=7), "#/camera/press-3%3Awelder") as page:
        expect(page.get_by_text("Check plug, power and network of the camera.")).to_be_visible()
        page.goto(page.url.replace("welder", "caps"))
        expect(page.get_by_text("Look at the lamp, the lens cap and the exposure of the camera.")).to_be_visible()


def test_a_log_in_that_is_over_is_said(browser: Browser) -> None:
    """A person that has to log in again, as the session ended, is told so; at a first visit nothing is said."""
    over = "Your log-in is over."
    with showing(browser, World(cameras=1, log_in=True), "#/live") as page:
        page.get_by_label("Name").fill("anna")
        expect(page.get_by_text(over)).to_have_count(0)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in").click()
        expect(page.locator(".picture").first).to_be_visible()
        page.context.clear_cookies()
        page.evaluate("import('/core/api.js').then(api => api.get('cameras')).catch(() => 0)")
        expect(page.get_by_text(over)).to_be_visible()


def test_what_devices_say_is_german_on_a_german_page(browser: Browser) -> None:
    """Each sentence of devices and of the page's process is said in German, a new one with whose words it is."""
    with showing(browser, World(cameras=1), "#/live", locale="de-DE") as page:
        expect(page.get_by_role("link", name="Alarme")).to_be_visible()
        say = (
            "async texts => { const { toldOrQuoted } = await import('/core/told.js'); return texts.map(toldOrQuoted); }"
        )
        texts = sorted(text for text in all_texts() if not NO_WORDS.fullmatch(text))
        in_german = page.evaluate(say, texts)
        assert len(texts) > MANY
        assert not [text for text in in_german if text.startswith("Das Gerät meldet auf Englisch: ")]
        few = ["cameras.belt: the disk sings", "/var/x: cannot be written (No space left on device); see above"]
        assert page.evaluate(say, few) == [
            "Das Gerät meldet auf Englisch: cameras.belt: the disk sings",
            "/var/x: lässt sich nicht schreiben (kein Platz mehr auf dem Datenträger); siehe oben",
        ]


def test_the_device_is_checked_in_german(browser: Browser) -> None:
    """What was checked, what was found, and what to do about it are in German on a German page."""
    world = World(cameras=1)
    finding = {"about": "clock", "level": "warn", "says": "not synchronised", "remedy": "report this line"}
    report = {"exit_code": 0, "device": [finding]}
    world.report = {"state": "done", "started_ms": 0, "seconds": 1, "report": report, "reason": ""}
    with showing(browser, world, "#/devices", locale="de-DE") as page:
        row = page.get_by_role("row", name="Uhrzeit")
        expect(row).to_contain_text("nicht synchronisiert: Zeiten können falsch sein")
        expect(row).to_contain_text("melden Sie diese Zeile")
