"""Limits of log-in, with a clock of the test."""

from __future__ import annotations

from runtime.page.users.attempts import LOCK_S, MAX_ENTRIES, MAX_WRONG, Attempts, network


class Clock:
    """A clock that the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def wrong(attempts: Attempts, user: str, address: str, number: int) -> list[float]:
    return [attempts.begin(user, address) for _ in range(number)]


def test_ten_wrong_passwords_lock_out_for_the_stated_time() -> None:
    """After ten the next one is refused for 15 minutes, then it may be tried again."""
    clock = Clock()
    attempts = Attempts(clock)
    wrong(attempts, "anna", "10.0.0.9", MAX_WRONG)
    assert attempts.begin("anna", "10.0.0.9") == LOCK_S
    clock.now += LOCK_S - 1
    assert attempts.begin("anna", "10.0.0.9") == 1
    clock.now += 2
    assert attempts.begin("anna", "10.0.0.9") == 0


def test_waits_grow() -> None:
    """The first wrong passwords cost nothing, then each one doubles the wait."""
    clock = Clock()
    attempts = Attempts(clock)
    waits = []
    for _ in range(MAX_WRONG - 1):
        waits.append(attempts.begin("anna", "10.0.0.9"))
        clock.now += 40  # longer than any wait before the lock-out
    assert waits == [0.0] * (MAX_WRONG - 1)
    quick = Attempts(clock)
    assert wrong(quick, "anna", "10.0.0.9", 8) == [0, 0, 0, 0, 0, 1, 2, 4]


def test_attempts_at_the_same_time_all_count() -> None:
    """An attempt counts when it begins, so a hundred in parallel are not a hundred guesses."""
    allowed = [wait for wait in wrong(Attempts(Clock()), "anna", "10.0.0.9", 100) if not wait]
    assert len(allowed) <= MAX_WRONG


def test_a_stranger_does_not_lock_out_the_user_at_the_usual_place() -> None:
    """Guesses from elsewhere lock the name there; where the user has logged in before, the name stays free."""
    clock = Clock()
    attempts = Attempts(clock)
    assert attempts.begin("anna", "10.0.0.5") == 0
    attempts.succeed("anna", "10.0.0.5")
    for number in range(5 * MAX_WRONG):
        attempts.begin("anna", f"203.0.113.{number}")
    assert attempts.begin("anna", "198.51.100.1") > 0, "guesses from many addresses must lock the name"
    assert attempts.begin("anna", "10.0.0.5") == 0


def test_an_attempt_during_a_lock_out_does_not_prolong_it() -> None:
    """A stranger who goes on guessing cannot lock a name for ever without a gap."""
    clock = Clock()
    attempts = Attempts(clock)
    wrong(attempts, "anna", "10.0.0.9", MAX_WRONG)
    clock.now += LOCK_S / 2
    wrong(attempts, "anna", "10.0.0.8", 50)
    clock.now += LOCK_S / 2 + 1
    assert attempts.begin("anna", "10.0.0.7") == 0


def test_a_user_cannot_guess_for_others_by_logging_in_between() -> None:
    """A right password of one's own takes back one's own attempt only."""
    attempts = Attempts(Clock())
    refused = 0
    for _ in range(3 * MAX_WRONG):
        refused += attempts.begin("anna", "10.0.0.9") > 0
        if attempts.begin("mallory", "10.0.0.9") == 0:
            attempts.succeed("mallory", "10.0.0.9")
    assert refused > MAX_WRONG


def test_memory_is_bounded() -> None:
    """Whatever names and addresses strangers invent, what is remembered stays small."""
    attempts = Attempts(Clock())
    for number in range(3 * MAX_ENTRIES):
        attempts.begin(f"user {number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        attempts.succeed(f"user {number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(attempts._counts) <= 2 * MAX_ENTRIES
    assert len(attempts._usual) <= MAX_ENTRIES


def test_addresses_of_one_customer_count_together() -> None:
    """A customer of IPv6 has more addresses than guesses are needed."""
    assert network("2001:db8:1:2::1") == network("2001:db8:1:2:ffff::7") != network("2001:db8:1:3::1")
    assert network("::ffff:10.0.0.1") == network("10.0.0.1") != network("10.0.0.2")
