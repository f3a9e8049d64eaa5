"""The name that goes with a change where there are no users."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import quote

import pytest
from starlette.requests import Request

from runtime.page.api.endpoint import Call


def call(header: str, user: str = "") -> Call:
    state = {"user": user} if user else {}
    scope = {"type": "http", "headers": [(b"x-patchedge-name", header.encode())], "state": state}
    return Call(Request(scope), cast(Any, None), None, None)


@pytest.mark.parametrize("name", ["Anna", "Jörg Müller", "李"])
def test_a_name_that_was_asked_for_goes_with_a_change(name: str) -> None:
    """Without log-in it is whatever a person has said, in any script."""
    assert call(quote(name)).user == name


def test_a_user_has_no_other_name() -> None:
    """With log-in a header changes nothing."""
    assert call("Anna", user="otto").user == "otto"


def test_a_name_is_one_short_line() -> None:
    """Control characters are dropped, and what is too long for a device is cut off."""
    assert call(quote("An\nna\x00\x1b[31m")).user == "Anna[31m"
    assert call("x" * 200).user == "x" * 64
