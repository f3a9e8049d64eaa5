"""Requests as bytes: what is none is refused, whatever it is."""

from __future__ import annotations

import json
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_config.errors import RequestError
from edge_config.wire.replies import encode_refusal
from edge_config.wire.requests import MAX_REQUEST_BYTES, REQUESTS, SCHEMA, Replay, Status, decode_request, request_id

MAX_SAID = 700
"""Characters of one line that says what is wrong: a screen's width or some, and not what a stranger wrote."""

FIELDS = ["id", "camera", "path", "topic", "epoch", "from_seq", "limit", "subscriber", "after", "alert_id", "seq", "x"]
START = f'{{"schema": "{SCHEMA}", "request": '

texts = st.text('aé€\U0001f600"\\/\n\0\x7f\u2028', max_size=6) | st.sampled_from(["edge", "v1/alert/", SCHEMA])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=3),
    max_leaves=5,
)


def only_refused(body: bytes) -> None:
    """Fail if reading raises anything else than RequestError, or the refusal cannot be said in one short line."""
    try:
        decode_request(body)
    except RequestError as error:
        said = str(error)
        assert len(said) <= MAX_SAID
        assert "\n" not in said
        assert json.loads(encode_refusal(request_id(body), said))["error"] == said


@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    """Bytes of any kind are a request or are refused."""
    only_refused(body)


@pytest.mark.slow
@given(st.sampled_from([*REQUESTS, "explode", ""]), st.dictionaries(st.sampled_from(FIELDS), values, max_size=4))
def test_any_json(request: str, fields: dict[str, object]) -> None:
    """JSON of any kind is a request or is refused."""
    only_refused(json.dumps({"schema": SCHEMA, "request": request, **fields}).encode())


@pytest.mark.slow
@given(st.sampled_from(REQUESTS), st.dictionaries(st.sampled_from(FIELDS), values, max_size=4), st.data())
def test_any_part_of_a_request(request: str, fields: dict[str, object], data: st.DataObject) -> None:
    """A request that was cut short or in which a byte was changed is refused, if it is none."""
    body = json.dumps({"schema": SCHEMA, "request": request, **fields}).encode()
    at = data.draw(st.integers(0, len(body) - 1))
    only_refused(body[:at])
    only_refused(body[:at] + data.draw(st.binary(min_size=1, max_size=1)) + body[at + 1 :])


@pytest.mark.parametrize("deep", ["[", '{"a":', "[[1],"])
@pytest.mark.parametrize("start", ["", START, *(f'{START}"replay", "{field}": ' for field in FIELDS)])
def test_deep_json(start: str, deep: str) -> None:
    """JSON as deep as 64 KB allow is refused wherever it stands."""
    body = (start + deep * MAX_REQUEST_BYTES).encode()[:MAX_REQUEST_BYTES]
    with pytest.raises(RequestError):
        decode_request(body)
    only_refused(body)


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-1", "0", "1.5", "1e400", "9" * 60000, str(2**63), "1" + "0" * 400 + "e-400", "true"]
)
def test_number_that_is_none(number: str) -> None:
    """A number that is none, or beyond its bounds, is refused."""
    body = f'{START}"replay", "topic": "t", "from_seq": {number}}}'.encode()
    with pytest.raises(RequestError):
        decode_request(body)
    only_refused(body)


def test_largest_number_is_one() -> None:
    """The bound itself is allowed."""
    body = f'{START}"replay", "topic": "t", "from_seq": {2**63 - 1}}}'.encode()
    assert decode_request(body) == Replay(topic="t", from_seq=2**63 - 1)


def test_key_that_comes_twice() -> None:
    """Two kinds of request in one are refused; of any other key that comes twice the last one counts."""
    with pytest.raises(RequestError, match="reload"):
        decode_request(f'{START}"status", "request": "reload"}}'.encode())
    with pytest.raises(RequestError):
        decode_request(f'{{"schema": "other", "schema": "{SCHEMA}", "request": "status"}}'.encode())
    assert decode_request(f'{START}"status", "id": "a", "id": "b"}}'.encode()) == Status(id="b")


@pytest.mark.parametrize("wrong", ['"status", "{}": 1', '"{}"', '"status", "id": "{}"', '"reload", "path": "{}"'])
def test_refusal_does_not_repeat_all_that_was_said(wrong: str) -> None:
    """A refusal stays short, however long what is wrong is."""
    only_refused((START + wrong.replace("{}", "k" * 60000) + "}").encode())
    assert request_id((START + wrong.replace("{}", "k" * 60000) + "}").encode()) == ""


@pytest.mark.parametrize("name", ["", "a b", "../x"])
def test_refusal_of_a_name_says_what_is_allowed(name: str) -> None:
    """In words, and not as a regular expression."""
    with pytest.raises(RequestError, match=r"letters, digits, _ and - only") as caught:
        decode_request(f'{START}"forget", "subscriber": "{name}"}}'.encode())
    assert "regex" not in str(caught.value)


@given(st.binary(max_size=100))
def test_id_of_anything(body: bytes) -> None:
    """Looking for the id of what may be no request never fails."""
    with suppress(RequestError):
        decode_request(body)
    assert len(request_id(body)) <= 128


@pytest.mark.parametrize(
    ("user", "allowed"),
    [
        ("Anna Müller", True),
        ("李雷", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("Anna\n", False),
        ("An\tna", False),
        ("\x1b[31mAnna", False),
        ("An\x85na", False),
        ("Anna\u202e", False),
        ("Anna\u2028", False),
    ],
)
def test_user_of_a_request_is_one_short_line(user: str, *, allowed: bool) -> None:
    """A name with a control character, or one that is too long, is refused in plain words."""
    body = json.dumps({"schema": SCHEMA, "request": "status", "user": user}).encode()
    if allowed:
        assert decode_request(body).user == user
    else:
        with pytest.raises(RequestError, match=r"no control characters|length <= 64"):
            decode_request(body)


def test_configure_tells_absent_regions_from_none() -> None:
    """Without `regions` they stay as they are; null takes the camera's own away."""
    start = f'{{"schema": "{SCHEMA}", "request": "configure", "camera": "top"'
    assert decode_request(f"{start}}}".encode()).regions is msgspec.UNSET
    assert decode_request(f'{start}, "regions": null}}'.encode()).regions is None
    with pytest.raises(RequestError, match="regions"):
        decode_request(f'{start}, "regions": [[[0, 0], [1, 1]]]}}'.encode())
