"""Users, tokens, passwords: how they are stored, and what the commands refuse."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import argon2
import pytest

from edge_config.errors import SettingsError, TargetExists, UsageError
from runtime.page.users import manage, passwords
from runtime.page.users.register import UsersFile

GOOD = "correct horse battery"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "page" / "users.json"


def test_a_password_is_stored_as_argon2id(path: Path) -> None:
    """The file has an Argon2id hash that the library's own verifier accepts, and never the password."""
    manage.add_user(path, "anna", "operator", lambda: GOOD)
    user = UsersFile(path).read().users["anna"]
    assert user.password.startswith("$argon2id$")
    assert argon2.PasswordHasher().verify(user.password, GOOD)
    assert GOOD.encode() not in path.read_bytes()
    assert user.role == "operator"


def test_the_file_is_for_its_owner_alone(path: Path) -> None:
    """Nobody else can read it, whatever the umask says."""
    manage.add_user(path, "anna", "viewer", lambda: GOOD)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_others_can_read_is_refused(path: Path) -> None:
    """A copy with lax permissions is not used silently."""
    manage.add_user(path, "anna", "viewer", lambda: GOOD)
    path.chmod(0o644)
    with pytest.raises(SettingsError, match="others can read"):
        UsersFile(path).read()


@pytest.mark.parametrize("text", ["", "{}x", '{"version": 2}', '{"users": {"a": {"role": "root", "password": ""}}}'])
def test_a_damaged_file_is_refused(path: Path, text: str) -> None:
    """A file that is no register is one clear error."""
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(SettingsError, match="is not a file of users"):
        UsersFile(path).read()


def test_a_change_is_seen_at_once(path: Path) -> None:
    """One reader sees each change of another process without being told."""
    reader = UsersFile(path)
    assert not reader.read().users
    manage.add_user(path, "anna", "viewer", lambda: GOOD)
    assert set(reader.read().users) == {"anna"}
    manage.remove_user(path, "anna")
    assert not reader.read().users


@pytest.mark.parametrize("password", ["", "123456789", "x" * 257])
def test_short_and_endless_passwords_are_refused(path: Path, password: str) -> None:
    """Nine characters are too few, and nothing is written."""
    with pytest.raises(UsageError, match="10 to 256"):
        manage.add_user(path, "anna", "viewer", lambda: password)
    assert not path.exists()


@pytest.mark.parametrize("name", ["", " anna", "an\nna", "a" * 65, "\x1b[2Janna"])
def test_names_that_would_deceive_are_refused(path: Path, name: str) -> None:
    """Control characters, spaces at the ends and endless names are no names."""
    with pytest.raises(UsageError, match="not a name"):
        manage.add_user(path, name, "viewer", lambda: GOOD)


def test_a_user_cannot_be_added_twice(path: Path) -> None:
    """The second `add` must not replace the password of the first."""
    manage.add_user(path, "anna", "viewer", lambda: GOOD)
    with pytest.raises(TargetExists, match="user password anna"):
        manage.add_user(path, "anna", "operator", lambda: GOOD + "2")
    assert UsersFile(path).read().users["anna"].role == "viewer"


def test_who_is_not_there_cannot_be_changed(path: Path) -> None:
    """Removing a user or a token that does not exist is an error, not a success."""
    for change in (manage.remove_user, manage.remove_token):
        with pytest.raises(UsageError, match="no such"):
            change(path, "bert")
    with pytest.raises(UsageError, match="no such user"):
        manage.set_password(path, "bert", lambda: GOOD)


def test_a_token_is_stored_as_its_hash(path: Path) -> None:
    """The file has the SHA-256 of a token and never the token; two tokens differ."""
    token = manage.add_token(path, "mes", "viewer")
    other = manage.add_token(path, "erp", "viewer")
    assert token != other
    assert len(token) >= 43  # 256 bits in base64
    assert UsersFile(path).read().tokens["mes"].sha256 == hashlib.sha256(token.encode()).hexdigest()
    assert token.encode() not in path.read_bytes()


def test_a_password_may_be_typed_on_any_keyboard() -> None:
    """A letter with its accent is one letter, whether a keyboard sends one code or two."""
    hashed = passwords.make("Pr\u00fcfstand-7!")
    assert passwords.is_right(hashed, "Pru\u0308fstand-7!")
    assert not passwords.is_right(hashed, "Prufstand-7!")


def test_nobody_can_log_in_without_a_hash() -> None:
    """An unknown user, and a user whose hash is damaged, have no right password."""
    assert not passwords.is_right(None, "the password of nobody")
    assert not passwords.is_right("", "")
    assert not passwords.is_right("$argon2id$nonsense", "x")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
def test_root_leaves_the_file_to_the_user_of_the_service(path: Path) -> None:
    """What root writes into the folder of a service, its user can read and change; root can change it again."""
    nobody = 65534
    path.parent.mkdir()
    os.chown(path.parent, nobody, nobody)
    manage.add_user(path, "anna", "viewer", lambda: GOOD)
    manage.add_token(path, "mes", "viewer")
    for file in path.parent.iterdir():
        assert file.stat().st_uid == nobody, file
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
