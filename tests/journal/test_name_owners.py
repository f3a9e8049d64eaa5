"""Whose name is whose."""

from __future__ import annotations

from runtime.journal.name_owners import MAX_NAMES, Owners


def test_first_key_has_the_name() -> None:
    """The first key that uses a name has it at once, also before the disk knows; another one is told why not."""
    owners = Owners()
    assert owners.claim("hall", "one") == ""
    assert owners.claim("hall", "one") == ""
    assert owners.claim("hall", "two").startswith("the name `hall` belongs to another key")
    assert owners.claim("yard", "two") == ""


def test_without_keys_no_name_is_anybodys() -> None:
    """On a device without keys any name may be used, and none is taken by that."""
    owners = Owners()
    owners.know({"hall": "one"})
    assert owners.claim("hall", "") == owners.claim("yard", "") == ""
    assert owners.claim("yard", "two") == ""


def test_what_the_journal_says_counts() -> None:
    """A name that the journal has forgotten is free, one that it knows is not; one without a key is for the first."""
    owners = Owners()
    owners.claim("hall", "one")
    owners.know({"yard": "one", "gate": ""})
    assert owners.claim("hall", "two") == owners.claim("gate", "two") == ""
    assert owners.claim("yard", "two")


def test_key_has_a_bounded_number_of_names() -> None:
    """One more name than a key may have is refused; the names that it has go on, and so do other keys."""
    owners = Owners()
    assert not any(owners.claim(f"name-{number}", "one") for number in range(MAX_NAMES))
    assert "names already" in owners.claim("more", "one")
    assert owners.claim("name-0", "one") == owners.claim("more", "two") == ""
