"""`patchedge page user` and `patchedge page token`, as a user types them."""

from __future__ import annotations

import io
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.cli.main import main
from runtime.page.users.passwords import is_right
from runtime.page.users.register import UsersFile

PASSWORD = "correct horse battery"  # noqa: S105 - of a page of the test


def page(folder: Path, *words: str) -> int:
    return main(["page", "--folder", str(folder), *words])


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_users_are_added_listed_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The password comes from standard input; the output never has it."""
    typed(monkeypatch, PASSWORD + "\n")
    assert page(tmp_path, "user", "add", "anna", "--role", "operator") == 0
    assert is_right(UsersFile(tmp_path / "users.json").read().users["anna"].password, PASSWORD)
    assert page(tmp_path, "user", "list") == 0
    assert page(tmp_path, "user", "remove", "anna") == 0
    said = capsys.readouterr()
    assert "anna  operator" in said.out
    assert "no users are left" in said.out
    assert PASSWORD not in said.out + said.err


def test_a_token_is_printed_once_and_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is the token, for `TOKEN=$(...)`; the list does not show it."""
    assert page(tmp_path, "token", "add", "mes") == 0
    token = capsys.readouterr().out.strip()
    assert page(tmp_path, "token", "list") == 0
    assert capsys.readouterr().out == "mes  viewer\n"
    assert token
    assert token not in (tmp_path / "users.json").read_text(encoding="utf-8")
    assert stat.S_IMODE((tmp_path / "users.json").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "words",
    [
        ("user", "add"),
        ("user", "list", "anna"),
        ("user", "remove", "anna"),
        ("user", "password", "anna"),
        ("token", "remove", "mes"),
        ("user", "remove", "anna", "--role", "viewer"),
        ("user", "add", "anna"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    """A missing name, somebody unknown, a short password: one line, and exit code 2."""
    typed(monkeypatch, "short\n")
    assert page(tmp_path, *words) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "users.json").exists()


@pytest.mark.slow
def test_a_password_is_typed_twice_and_never_shown(tmp_path: Path) -> None:
    """On a terminal it is asked for without echo, and two that differ are refused."""
    for second, code in ((PASSWORD, 0), ("something else", 2)):
        ours, theirs = pty.openpty()
        program = "import sys; from runtime.cli.main import main; sys.exit(main())"
        command = [sys.executable, "-c", program, "page", "--folder", str(tmp_path / str(code)), "user", "add", "anna"]
        with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True) as child:
            os.close(theirs)
            said = b""
            for line in (PASSWORD, second):
                while not said.rstrip(b" ").endswith(b":"):
                    said += os.read(ours, 1000)
                os.write(ours, line.encode() + b"\n")
                said += b"|"
            try:
                while part := os.read(ours, 1000):
                    said += part
            except OSError:  # the terminal is gone with the child
                pass
            assert child.wait() == code, said
        os.close(ours)
        assert b"at least 10 characters" in said
        assert PASSWORD.encode() not in said


@pytest.mark.slow
def test_a_page_that_others_could_reach_does_not_start(tmp_path: Path) -> None:
    """One line says what is missing; the exit code is that of settings."""
    program = "import sys; from runtime.cli.main import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "page", "--folder", str(tmp_path), "--bind", "0.0.0.0:0"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 78
    assert found.stderr.count("\n") == 1
    assert "it has no users and no encryption; add users (patchedge page user add NAME --role operator)" in found.stderr
