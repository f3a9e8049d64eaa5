"""Sessions: bounded in time and number."""

from __future__ import annotations

from runtime.page.users.sessions import ABSOLUTE_S, IDLE_S, MAX_OF_USER, MAX_SESSIONS, Sessions


class Clock:
    """A clock that the test moves."""

    now = 50.0

    def __call__(self) -> float:
        return self.now


def test_a_session_that_is_not_used_ends() -> None:
    """Eight hours without a request are the end; a request before that is not."""
    clock = Clock()
    sessions = Sessions(clock)
    name = sessions.begin("anna", "hash")
    clock.now += IDLE_S - 1
    assert sessions.find(name)
    clock.now += IDLE_S - 1
    assert sessions.find(name)
    clock.now += IDLE_S + 1
    assert sessions.find(name) is None
    assert len(sessions) == 0


def test_a_session_ends_after_a_week_whatever_happens() -> None:
    """Use does not prolong a session beyond its absolute end."""
    clock = Clock()
    sessions = Sessions(clock)
    name = sessions.begin("anna", "hash")
    while clock.now < 50 + ABSOLUTE_S - IDLE_S / 2:
        clock.now += IDLE_S / 2
        assert sessions.find(name)
    clock.now += IDLE_S / 2 + 1
    assert sessions.find(name) is None


def test_the_number_of_sessions_is_bounded() -> None:
    """One user cannot push out others, and all together stay bounded."""
    sessions = Sessions()
    first = sessions.begin("bert", "hash")
    own = [sessions.begin("anna", "hash") for _ in range(2 * MAX_OF_USER)]
    assert sum(sessions.find(name) is not None for name in own) == MAX_OF_USER
    assert sessions.find(own[-1])
    assert sessions.find(first)
    for number in range(MAX_SESSIONS + 10):
        sessions.begin(f"user {number}", "hash")
    assert len(sessions) == MAX_SESSIONS


def test_identifiers_cannot_be_guessed() -> None:
    """Each session has an identifier and a token of 256 random bits of its own."""
    sessions = Sessions()
    names = {sessions.begin(f"user {number}", "hash") for number in range(100)}
    tokens = {session.csrf for name in names if (session := sessions.find(name))}
    assert len(names) == len(tokens) == 100
    assert not names & tokens
    assert all(len(text) >= 43 for text in names | tokens)
