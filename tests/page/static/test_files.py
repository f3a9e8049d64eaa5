"""The files of the front end: words in both languages, nothing that is not used, nothing from another host."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import get_args

import pytest

import runtime.page
from edge_config.settings.sections import Alerts
from edge_config.wire.requests import AnyRequest

STATIC = Path(runtime.page.__file__).parent / "static"
OURS = sorted(path for path in STATIC.rglob("*") if path.is_file() and "lib" not in path.relative_to(STATIC).parts)
SCRIPTS = {
    path.relative_to(STATIC).as_posix(): path.read_text(encoding="utf-8") for path in OURS if path.suffix == ".js"
}
MAX_LINES = 300

WORD = re.compile(r"""\btO?r?\(\s*(?:"([^"]+)"|`([^`$]*)\$\{)""")
"""A call of t() or tOr(), with a whole key or with the beginning of one."""

QUOTED = re.compile(r""""([a-z_]+(?:\.[a-z0-9_]+)+)\"""")
"""A key in a table of a script, which is looked up later."""


def words(language: str) -> dict[str, str]:
    """Return the table of a language."""
    table: dict[str, str] = json.loads((STATIC / "words" / f"{language}.json").read_text(encoding="utf-8"))
    return table


def without_number(key: str) -> str:
    """Return the key that a script uses for one with a form for one and for many."""
    return re.sub(r"\.(?:one|other)\Z", "", key)


def test_both_languages_have_the_same_words_with_the_same_gaps() -> None:
    """English and German have the same keys in the same order, and each text names the same values."""
    english, german = words("en"), words("de")
    assert list(english) == list(german)
    for key, text in english.items():
        named, german_named = ({*re.findall(r"\{(\w+)\}", one)} for one in (text, german[key]))
        assert german_named <= named | {"count"}, key
        # What a device fills in that says nothing to people, such as the id of an alert, may be left out.
        assert key.startswith("told.") or german_named | {"count"} >= named, key


def test_every_word_is_used_and_every_used_word_is_there() -> None:
    """A key that a script uses is in the table, and no key of the table is left over."""
    keys = {without_number(key) for key in words("en")}
    whole: set[str] = set()
    begun: set[str] = set()
    for script in SCRIPTS.values():
        for key, beginning in WORD.findall(script):
            (whole if key else begun).add(key or beginning)
        whole |= {*QUOTED.findall(script)} & keys
    assert not whole - keys
    assert not {start for start in begun if not any(key.startswith(start) for key in keys)}
    assert not {key for key in keys - whole if not any(start and key.startswith(start) for start in begun)}


def test_every_setting_that_can_change_has_a_name() -> None:
    """The list of changes names each key of `alerts`, and the areas, in words of the page."""
    keys = {*words("en")}
    names = [*Alerts.__struct_fields__, "regions", "ignore"]
    assert not [name for name in names if not {f"tune.{name}", f"changes.name.{name}"} & keys]


def test_every_state_says_what_to_do() -> None:
    """For each state of a camera in which its pictures are not judged the page has words for what to do."""
    named = {key for key in words("en") if re.fullmatch(r"state\.[a-z]+", key)} - {"state.live", "state.starting"}
    assert {key.replace("state.", "state.do.") for key in named} <= words("en").keys()


def test_every_request_that_changes_something_has_a_name() -> None:
    """The list of changes has plain words for each request that needs the role `operate`."""
    operate = {kind.__struct_config__.tag for kind in get_args(AnyRequest) if kind.role == "operate"}
    assert "learn_on" in operate
    assert not {f"orders.request.{name}" for name in operate} - words("en").keys()


def test_every_script_and_style_is_reached_from_the_first_page() -> None:
    """No file is there that the first page, directly or through others, does not name."""
    texts = {path: path.read_text(encoding="utf-8") for path in OURS if path.suffix in {".html", ".js", ".css"}}
    named = "\n".join(texts.values())
    for path in OURS:
        if path.parent.name in {"views", "words"}:  # the router and the table of languages name these
            assert path.stem in (STATIC / "app.js").read_text(encoding="utf-8") or path.stem in named
        elif path.name != "index.html":
            assert path.name in named, path


def test_imports_name_files_that_are_there() -> None:
    """Each import of a script is a relative path to a file of the page."""
    for name, script in SCRIPTS.items():
        for address in re.findall(r"""(?:from|import)\s*\(?\s*"([^"]+)\"""", script):
            assert ((STATIC / name).parent / address).is_file(), f"{name}: {address}"


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.relative_to(STATIC).as_posix())
def test_nothing_comes_from_another_host(path: Path) -> None:
    """No file of ours names an address on another host; the name space of SVG is a name, not an address."""
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.findall(r"(?:https?:)?//[\w-]+\.[\w.-]+", text)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_small_and_make_no_html_of_text(name: str) -> None:
    """Scripts stay small, and none of them can turn text into HTML or into a script."""
    assert SCRIPTS[name].count("\n") <= MAX_LINES
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|cssText", SCRIPTS[name]
    )


def test_the_first_page_has_no_script_and_no_style_within() -> None:
    """The content security policy allows neither scripts nor styles inside of the page."""
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)


def test_uplot_is_the_published_one() -> None:
    """The copy of uPlot is version 1.6.32 of npm, byte for byte; `make page` fetches it again."""
    sums = (STATIC / "lib" / "uPlot" / "SHA256SUMS").read_text(encoding="utf-8").split()
    for wanted, name in zip(sums[::2], sums[1::2], strict=True):
        data = (STATIC / "lib" / "uPlot" / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == wanted, name
    assert b"(v1.6.32)" in (STATIC / "lib" / "uPlot" / "uPlot.esm.js").read_bytes()[:400]
