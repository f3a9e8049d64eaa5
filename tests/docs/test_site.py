"""The site: it builds strictly, in time, loads nothing from elsewhere, and whatever its pages name is there."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

import msgspec
import pytest

import patchedge

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "generate" not in page.parts)
README = ROOT / "README.md"
AROUND = sorted(ROOT.glob("*.md"))
"""README and its kin: pages that the site does not have."""

MAX_BUILD_S = 100.0
MAX_PAGE_LINES = 400
MAX_README_LINES = 200

ELSEWHERE = re.compile(r"(?:https?:)?//")
LOADING = {("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("video", "src"), ("embed", "src")}
"""Tags and attributes that make a browser load something; of `link` only some kinds do."""

LOADING_LINKS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "modulepreload", "manifest", "dns-prefetch"}
LOADED_BY_CSS = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")

FOLDERS = ("edge_config", "export", "runtime", "tests", "docs", "examples")
IN_BACKTICKS = re.compile(rf"`((?:{'|'.join(FOLDERS)})/[\w./*-]*|patchedge/(?:\w+\.py)?)`")
"""A path of the project. (`patchedge/DEVICE/...` is a topic of MQTT.)"""

MARKDOWN_LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


class _Page(HTMLParser):
    """What a page of the site names: its own anchors, links, and what it makes a browser load."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors, self.links, self.loaded = set[str](), list[str](), list[str]()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take note of a tag."""
        of = {name: value or "" for name, value in attrs}
        self.anchors |= {of[name] for name in ("id", "name") if name in of}
        if tag == "a" and "href" in of:
            self.links.append(of["href"])
        if tag == "link" and LOADING_LINKS & set(of.get("rel", "").split()):
            self.loaded.append(of["href"])
        self.loaded += [value for name, value in of.items() if (tag, name) in LOADING]
        self.loaded += [link for found in LOADED_BY_CSS.findall(of.get("style", "")) for link in found if link]


class _Site:
    """The built site: its folder, the time that it took, and its pages."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--nitpicky", "--quiet"]
        begin_s = time.monotonic()
        done = subprocess.run(
            [*command, "-b", "html", DOCS, folder], cwd=ROOT, capture_output=True, text=True, check=False
        )
        self.took_s = time.monotonic() - begin_s
        self.said = done.stdout + done.stderr
        self.folder = folder
        self.pages = {path: _Page(path) for path in folder.rglob("*.html")}
        self.styles = {path: path.read_text(encoding="utf-8") for path in folder.rglob("*.css")}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> _Site:
    """Build the site once, without anything from an earlier build."""
    return _Site(tmp_path_factory.mktemp("site"))


def _broken(site: _Site, page: Path, link: str) -> str | None:
    """Return what is wrong with a link of a page; None if it leads elsewhere, or to what is there."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return None
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.is_file():
        return "no such file"
    anchor = unquote(parts.fragment)
    there = site.pages.get(target)
    return "no such anchor" if there and anchor and anchor not in there.anchors else None


@pytest.mark.slow
def test_the_site_builds_without_a_warning(site):
    """Every page is built, in time, and Sphinx has nothing to say about any of them."""
    assert site.said == ""
    built = {path.relative_to(site.folder).with_suffix("").as_posix() for path in site.pages}
    assert {page.relative_to(DOCS).with_suffix("").as_posix() for page in PAGES} <= built
    assert site.took_s < MAX_BUILD_S


@pytest.mark.slow
def test_the_site_can_be_searched(site):
    """The index of the search is part of the site, and knows what is on a page of every chapter."""
    index = (site.folder / "searchindex.js").read_text(encoding="utf-8")
    assert all(f'"{name}"' in index for name in ("tutorial", "guide/alerts", "reference/settings", "explain/search"))


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site):
    """No script, style, font or picture of a page comes from another server: the site works without a network."""
    of_pages = {(page.name, link) for page, found in site.pages.items() for link in found.loaded}
    of_styles = {
        (path.name, link) for path, css in site.styles.items() for found in LOADED_BY_CSS.findall(css) for link in found
    }
    assert ("index.html", "_images/overview.svg") in of_pages
    assert sorted(one for one in of_pages | of_styles if ELSEWHERE.match(one[1])) == []


def test_what_a_page_loads_is_found(tmp_path):
    """Scripts, styles, fonts and pictures from elsewhere are found, whatever way they are named; links are no loads."""
    page = tmp_path / "page.html"
    page.write_text(
        '<link rel="stylesheet" href="//a/1"><script src="https://a/2"></script><img src="http://a/3">'
        '<p style="background: url(https://a/4)"><a href="https://a/5"></a><link rel="next" href="https://a/6">'
    )
    loaded = _Page(page).loaded
    assert [link[-1] for link in loaded if ELSEWHERE.match(link)] == ["1", "2", "3", "4"]
    assert LOADED_BY_CSS.findall("@import 'https://a/7'; src: url(\"b.woff\")") == [("", "https://a/7"), ("b.woff", "")]


@pytest.mark.slow
def test_every_link_of_the_site_leads_somewhere(site):
    """Each link within the site, and each file that a page loads, is there, with its anchor."""
    links = [(page, link) for page, found in site.pages.items() for link in {*found.links, *found.loaded}]
    broken = [(page.name, link, what) for page, link in links if (what := _broken(site, page, link))]
    assert len(links) > 1000
    assert broken == []


@pytest.mark.slow
def test_every_link_around_the_site_leads_somewhere(site):
    """Each link of README and its kin to a file of the project is good; in the docs its anchor is, too."""
    broken = []
    for page, link in _links(AROUND):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        html = site.folder / target.relative_to(DOCS).with_suffix(".html") if DOCS in target.parents else None
        anchors = site.pages[html].anchors if html in site.pages else _slugs(target)
        if not target.exists() or (anchor and anchor not in anchors):
            broken.append(f"{page.name}: {link}")
    assert broken == []


def _links(pages: list[Path]) -> Iterator[tuple[Path, str]]:
    """Yield each link of Markdown pages that stays within the project, outside of code."""
    for page in pages:
        text = FENCED.sub("", page.read_text(encoding="utf-8"))
        for link in MARKDOWN_LINK.findall(text):
            if not urlsplit(link).scheme:
                yield page, link


def _slugs(page: Path) -> set[str]:
    """Return the anchors of a Markdown page, as hosts of repositories make them."""
    if page.suffix != ".md" or not page.is_file():
        return set()
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_pages_are_short():
    """No page has more than 400 lines."""
    lines = {page.relative_to(DOCS).as_posix(): page.read_text(encoding="utf-8").count("\n") for page in PAGES}
    assert {name: count for name, count in lines.items() if count > MAX_PAGE_LINES} == {}


def test_readme_is_short():
    """README is read in five minutes."""
    assert README.read_text(encoding="utf-8").count("\n") <= MAX_README_LINES


def test_every_path_in_the_pages_is_there():
    """Each path in backticks that begins with a folder of the project is one of its files or folders."""
    assert _gone([*PAGES, *(page for page in AROUND if page.stem not in {"CHANGELOG", "README"})]) == {}


def test_every_path_in_readme_is_there():
    """The same holds for README; the changelog is about the past."""
    assert _gone([README]) == {}


def test_a_path_that_is_not_there_is_found(tmp_path):
    """Of paths in backticks those that are gone are found, patterns among them; topics and commands are no paths."""
    page = tmp_path / "page.md"
    page.write_text(
        "`runtime/search/lazy.py` `runtime/*/lazy.py` `runtime/` `patchedge/press-3/cam1` `tests/no` `docs/*.no`"
    )
    assert _gone([page]) == {"tests/no": {"page.md"}, "docs/*.no": {"page.md"}}


def _gone(pages: list[Path]) -> dict[str, set[str]]:
    """Return the paths that pages name and the project does not have, and which pages these are."""
    named = defaultdict(set)
    for page in pages:
        for path in IN_BACKTICKS.findall(page.read_text(encoding="utf-8")):
            named[path].add(page.name)
    return {path: names for path, names in named.items() if not any(ROOT.glob(path.rstrip("/")))}


def test_the_python_page_names_all_that_programs_import():
    """Each public name of `patchedge`, and each request and reply, has its place on the page."""
    page = (DOCS / "reference" / "python.md").read_text(encoding="utf-8")
    structs = {
        f"{module.__name__.rpartition('.')[2]}.{name}"
        for module in (patchedge.requests, patchedge.replies, patchedge.teaching)
        for name, one in vars(module).items()
        if isinstance(one, type) and issubclass(one, msgspec.Struct) and one.__module__ == module.__name__
    }
    inner = {"requests._Header", "requests._Named", "replies.Answer"}
    names = set(patchedge.__all__) - {"requests", "replies", "teaching"} | structs - inner
    assert sorted(name for name in names if not re.search(rf"patchedge\.{re.escape(name)}\b", page)) == []


@pytest.mark.parametrize("path", sorted((DOCS / "images").glob("*.svg")), ids=lambda path: path.stem)
def test_pictures_can_be_read_by_everybody(path):
    """A drawn picture says in words what it shows, fits the page, has colours for dark pages, and loads nothing."""
    text = path.read_text(encoding="utf-8")
    picture = ET.fromstring(text)  # noqa: S314 - our own
    tag = "{http://www.w3.org/2000/svg}"
    assert all(len(picture.findtext(f"{tag}{name}", "")) > 10 for name in ("title", "desc"))
    assert int(picture.get("width", 0)) <= 720
    assert "@media (prefers-color-scheme: dark)" in text
    assert not re.search(r"(?:href|src)\s*=|url\((?!#)|@import|<script|<foreignObject", text)
