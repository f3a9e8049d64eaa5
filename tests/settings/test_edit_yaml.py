"""Changing one value in the text of a settings file: what is meant changes, and not a byte beside it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from edge_config.errors import SettingsError
from edge_config.settings.edit_yaml import ABSENT, edit
from edge_config.settings.problems import KeyPath

TOP: KeyPath = ("cameras", "top")
TRIANGLE = [[[0, 0], [9, 0], [9, 9]]]

BLOCK = """\
# of line 3
bundle: /b   # the bundle
cameras:
    top:
        source: 0
        # where the belt is
        regions:
          - [[0, 0], [7, 0], [7, 7]]   # left
          - [[1, 1], [7, 0], [7, 7]]   # right
        # the lamp blinks
        ignore: [[[0, 0], [3, 0], [3, 3]]]
        alerts:
          # asked of Anna
          threshold: 3.50 # since May
          merge_ms: 0x10

    # other
    side: {source: "1", alerts: {min_frames: 2}}
"""

FILES = {
    "block": BLOCK,
    "crlf": BLOCK.replace("\n", "\r\n"),
    "no newline at the end": BLOCK.rstrip("\n"),
    "flow": "{bundle: /b, cameras: {top: {source: 0, alerts: {threshold: 3.5}}, side: {source: 1}}}\n",
    "no alerts": "bundle: /b\ncameras:\n  top:\n    source: 0 # first\n  # last\n  side:\n    source: 1\n",
    "empty alerts": "cameras:\n  top:\n    alerts:\n    source: 0\nbundle: /b\n",
    "empty braces": "cameras:\n  top: {source: 0, alerts: {}}\nbundle: /b\n",
    "null": "cameras:\n  top:\n    source: 0\n    alerts: ~ # none\n",
    "empty value": "cameras:\n  top:\n    source: 0\n    alerts:\n      threshold:\n      merge_ms: 5\n",
    "block scalar last": "cameras:\n  top:\n    alerts: {}\n    source: |\n      gst:a\n\n# end\nbundle: /b\n",
    "quoted keys": "'cameras':\n  \"top\":\n    'alerts': {'threshold': 4}\n    source: 1\n",
    "list of two lines": "cameras:\n  top:\n    source: 1\n    regions: [[[0, 0],\n      [1, 1], [2, 2]]] # x\nz: b\n",
}

CHANGES: tuple[dict[KeyPath, Any], ...] = (
    {("alerts", "threshold"): 12.5},
    {("alerts", "threshold"): None},
    {("alerts", "threshold"): 1e-7},
    {("alerts", "min_frames"): 3, ("alerts", "attach"): ["jpeg", "heat_map"]},
    {("regions",): TRIANGLE},
    {("regions",): []},
    {("regions",): None, ("ignore",): TRIANGLE * 2},
    {("regions",): ABSENT, ("ignore",): ABSENT},
    {("alerts", "threshold"): ABSENT},
    {("alerts", "merge_ms"): ABSENT, ("alerts", "threshold"): ABSENT},
)


def expected(text: str, changes: dict[KeyPath, Any]) -> Any:
    """Return what a file holds after changes to its values, whatever its text."""
    tree = yaml.safe_load(text)
    for path, value in changes.items():
        section = tree["cameras"]["top"]
        for key in path[:-1]:
            if section.get(key) is None and value is not ABSENT:
                section[key] = {}
            section = {} if section.get(key) is None else section[key]
        if value is ABSENT:
            section.pop(path[-1], None)
        else:
            section[path[-1]] = value
    return tree


def comments(text: str) -> list[str]:
    return sorted(line.partition("#")[2].strip() for line in text.splitlines() if "#" in line)


@pytest.mark.parametrize("changes", CHANGES)
@pytest.mark.parametrize("name", FILES)
def test_only_what_is_meant_changes(name: str, changes: dict[KeyPath, Any]) -> None:
    """Whatever the style of the file, another reader finds the new values, all others, and every comment outside."""
    text = FILES[name]
    new = edit(text, TOP, changes, "f.yaml")
    assert yaml.safe_load(new) == expected(text, changes)
    inside = {"left"} if ("regions",) in changes else set()  # of the list that was replaced
    assert set(comments(text)) - inside <= set(comments(new))
    assert ("\r\n" in text) == ("\r\n" in new)
    assert new.replace("\r\n", "").count("\r") == 0


def test_lines_of_other_things_stay_as_they_are() -> None:
    """A changed threshold is one changed line; neither indentation, nor quotes, nor numbers of others change."""
    before, after = BLOCK.splitlines(), edit(BLOCK, TOP, {("alerts", "threshold"): 12}, "f").splitlines()
    assert [one for one in zip(before, after, strict=True) if one[0] != one[1]] == [
        ("          threshold: 3.50 # since May", "          threshold: 12 # since May")
    ]


def test_new_keys_are_written_below_the_old_ones() -> None:
    """New keys have the indentation of their section, and polygons a line each."""
    new = edit(FILES["no alerts"], TOP, {("alerts", "threshold"): 4, ("regions",): TRIANGLE * 2}, "f")
    polygon = "      - [[0, 0], [9, 0], [9, 9]]\n"
    assert new == (
        "bundle: /b\ncameras:\n  top:\n    source: 0 # first\n    alerts:\n      threshold: 4\n    regions:\n"
        f"{polygon}{polygon}  # last\n  side:\n    source: 1\n"
    )


@pytest.mark.parametrize("name", FILES)
def test_removed_again_leaves_the_text_as_it_was(name: str) -> None:
    """A key that was added and is removed again leaves no trace in a section that was there."""
    text = FILES[name]
    if "alerts" in (yaml.safe_load(text)["cameras"]["top"] or {}) and yaml.safe_load(text)["cameras"]["top"]["alerts"]:
        key = ("alerts", "cooldown_ms")
        assert edit(edit(text, TOP, {key: 7}, "f"), TOP, {key: ABSENT}, "f") == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("cameras:\n  side: {source: 0}\n", "has no section `cameras.top`"),
        ("bundle: /b\n", "has no section `cameras.top`"),
        ("cameras:\n  side: &a {source: 0}\n  top: *a\n", "`cameras.top` is an alias"),
        ("a: &a {threshold: 1}\ncameras:\n  top:\n    alerts: *a\n", "`cameras.top.alerts` is an alias"),
        ("cameras:\n  top: [1]\n", "`cameras.top` is an alias"),
    ],
)
def test_what_stands_elsewhere_is_refused(text: str, problem: str) -> None:
    """A section that is not written where it is used is never changed: others may have it too."""
    with pytest.raises(SettingsError, match=problem):
        edit(text, TOP, {("alerts", "threshold"): 4}, "f.yaml")


def test_alias_of_a_value_is_replaced_where_it_is_used() -> None:
    """Polygons that two cameras share by an alias are written out for the one that changes."""
    side = "  side: {source: 0, regions: &r [[[0, 0], [1, 1], [2, 2]]]}\n"
    text = f"cameras:\n{side}  top:\n    regions: *r\n    source: 1\n"
    new = edit(text, TOP, {("regions",): TRIANGLE}, "f")
    assert new == text.replace("*r", "[[[0, 0], [9, 0], [9, 9]]]")


@given(
    st.dictionaries(
        st.sampled_from(["threshold", "merge_ms", "x"]), st.none() | st.integers() | st.floats(0, 1), min_size=1
    ),
    st.sampled_from([True, False, None]),
    st.none() | st.integers() | st.floats(0, 1) | st.just(ABSENT) | st.just(TRIANGLE),
)
def test_any_mapping_in_any_style(alerts: dict[str, Any], style: bool | None, value: Any) -> None:  # noqa: FBT001
    """Files as another library writes them are changed as their values say."""
    text = yaml.safe_dump({"cameras": {"top": {"alerts": alerts, "source": 1}}, "z": 1}, default_flow_style=style)
    changes = {("alerts", "threshold"): value}
    assert yaml.safe_load(edit(text, TOP, changes, "f")) == expected(text, changes)
