"""What contributors read is true: links and paths exist, verbs of make too, and the host's forms are of its form."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = ("SECURITY.md", "CONTRIBUTING.md", "examples/README.md")
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml"))
KINDS = {"markdown", "textarea", "input", "dropdown", "checkboxes"}
"""Of the fields of an issue form, as GitHub documents them."""


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Each link to a file of the repository leads to one."""
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text())
    inside = [target for target in targets if "://" not in target]
    assert inside
    assert [target for target in inside if not (ROOT / page).parent.joinpath(target).exists()] == []


def test_paths_and_verbs_exist() -> None:
    """Each path in backticks exists, and each `make VERB` is one of the Makefile."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    paths = re.findall(r"`((?:export|runtime|edge_config|patchedge|tests|docs|examples|\.ci)/[\w/.]*)`", text)
    assert len(paths) > 10
    assert [path for path in paths if not (ROOT / path).exists()] == []
    paths = re.findall(r"-m pytest ([^\s`]+)", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []
    verbs = set(re.findall(r"(?:`|^)make ([a-z][a-z-]+)", text, re.MULTILINE))
    assert len(verbs) > 5
    known = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert verbs <= known


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.name)
def test_an_issue_form_is_whole(form: Path) -> None:
    """A form has a name and a description; each field has a kind, a number of its own, and a label."""
    tree: dict[str, Any] = yaml.safe_load(form.read_text())
    assert tree.keys() == {"name", "description", "labels", "body"}
    fields = [field for field in tree["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in tree["body"]} <= KINDS
    names = [field["id"] for field in fields]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[\w-]+", name) for name in names)
    assert all(field["attributes"]["label"] for field in fields)
    assert all(field.keys() <= {"type", "id", "attributes", "validations"} for field in fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_a_bug_form_asks_for_what_helps() -> None:
    """It asks for the findings of doctor, the settings and the log, and warns of secrets."""
    text = (ROOT / ".github/ISSUE_TEMPLATE/bug.yml").read_text()
    for words in ("patchedge doctor --json", "Settings", "Log", "Remove passwords", "SECURITY.md"):
        assert words in text


def test_the_chooser_of_forms_can_be_read() -> None:
    """The settings of the forms have keys that GitHub knows."""
    tree = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/config.yml").read_text())
    assert tree.keys() <= {"blank_issues_enabled", "contact_links"}


def test_markers_of_tests_are_explained() -> None:
    """CONTRIBUTING has a row for each marker of pyproject.toml."""
    project = (ROOT / "pyproject.toml").read_text().partition("markers = [")[2].partition("]\n")[0]
    markers = set(re.findall(r'"(\w+): ', project))
    rows = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE))
    assert len(markers) >= 4
    assert markers <= rows
