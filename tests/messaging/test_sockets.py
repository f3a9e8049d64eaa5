"""What happens to connected clients when a key goes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from edge_config.errors import AddressUnavailable
from runtime.messaging.sockets import Wire


class Socket:
    """Counts how often it was bound anew; `fails` so often before."""

    def __init__(self, fails: int = 0) -> None:
        self.fails = fails
        self.rebound = 0
        self.refused = {"malformed": 2}

    def rebind(self) -> None:
        if self.fails:
            self.fails -= 1
            raise AddressUnavailable("cannot be bound")
        self.rebound += 1


def wire(gone: list[bool], fails: int = 0) -> Any:
    access = SimpleNamespace(refresh=lambda: gone.pop(0), denied=3)
    nothing: Any = None
    return Wire(Socket(fails), Socket(), nothing, nothing, access)  # type: ignore[arg-type]


def test_nobody_is_cut_off_while_no_key_goes() -> None:
    """A key that is new, or none, changes nothing for connected clients."""
    one = wire([False, False])
    assert not one.admit()
    assert (one.publisher.rebound, one.control.rebound) == (0, 0)


def test_all_are_cut_off_once_when_a_key_goes() -> None:
    """When a key is removed both sockets are bound anew, once, so that its owner is out."""
    one = wire([True, False])
    assert [one.admit(), one.admit()] == [True, False]
    assert (one.publisher.rebound, one.control.rebound) == (1, 1)


def test_address_that_is_not_free_at_once_is_tried_again() -> None:
    """Where the address cannot be bound again yet, the next turn tries again."""
    one = wire([True, False], fails=1)
    assert [one.admit(), one.admit()] == [False, True]
    assert one.publisher.rebound == 1


@pytest.mark.parametrize(("socket", "said"), [("events", {"malformed": 2}), ("access", {"key": 3})])
def test_what_is_refused_is_counted_by_socket(socket: str, said: dict[str, int]) -> None:
    """Refusals can be told apart by where they came up."""
    assert wire([]).refused()[socket] == said
