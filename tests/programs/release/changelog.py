"""The changelog: "Unreleased" becomes the section of a version, and the notes of its release."""

from __future__ import annotations

import re

from tests.programs.release.refused import Refused

NAME = "CHANGELOG.md"
UNRELEASED = "## Unreleased"

_SECTION = re.compile(r"^## .*$", re.MULTILINE)
_EMPTY_TITLE = re.compile(r"^### [^\n]*\n\s*(?=^### |\Z)", re.MULTILINE)


def section(text: str) -> str:
    """Return what is under "Unreleased", without subtitles that have nothing below them.

    Raises:
        Refused: there is no such title, or nothing under it.
    """
    titles = list(_SECTION.finditer(text))
    for title, after in zip(titles, [*titles[1:], None], strict=True):
        if title[0].strip() == UNRELEASED:
            body = text[title.end() : after.start() if after else len(text)].strip() + "\n"
            body = _EMPTY_TITLE.sub("", body).strip()
            if not body:
                raise Refused(f'{NAME}: nothing under "Unreleased"; say what changes for users')
            return body + "\n"
    raise Refused(f'{NAME}: no line "{UNRELEASED}"; add it above the newest version')


def released(text: str, version: str, date: str) -> str:
    """Return the changelog with what was unreleased under a version, and a new, empty "Unreleased" above it."""
    body = section(text)
    start = re.search(rf"^{UNRELEASED}\s*$", text, re.MULTILINE)
    assert start, "`section` has found it"
    following = _SECTION.search(text, start.end())
    rest = text[following.start() :] if following else ""
    parts = [f"{text[: start.start()]}{UNRELEASED}\n", f"## {version}, {date}\n", body, rest]
    return "\n".join(part for part in parts if part)


def notes(text: str, version: str, date: str) -> str:
    """Return the notes of a release: its section, with a title of its own."""
    return f"# patchedge {version}, {date}\n\n{section(text)}"
