"""Key files, and the verb that makes them."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.auth

from edge_config.errors import KeysInvalid, SettingsError, TargetExists, UsageError
from runtime.cli.main import main
from runtime.client.control_client import ControlClient
from runtime.client.subscriber import Subscriber
from runtime.security import keys


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Return the files of fresh keys."""
    return keys.make(str(tmp_path / "laptop"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_keys_are_those_of_pyzmq(tmp_path: Path) -> None:
    """What we write pyzmq reads, we read pyzmq's, and the two keys belong together."""
    public, secret = keys.make(str(tmp_path / "ours"))
    both = zmq.auth.load_certificate(secret)
    assert zmq.curve_public(both[1]) == both[0]
    assert zmq.auth.load_certificate(public) == (both[0], None)
    assert keys.load_secret(secret) == both
    of_public, of_secret = zmq.auth.create_certificates(tmp_path, "theirs")
    Path(of_secret).chmod(0o600)
    assert keys.load_secret(Path(of_secret)) == zmq.auth.load_certificate(of_secret)
    assert keys.load_public(Path(of_public)) == zmq.auth.load_certificate(of_public)[0]


def test_secret_is_never_readable_by_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret file has its mode when it is created, whatever the umask, and not a moment later."""
    modes: dict[str, int] = {}
    real = os.fdopen

    def look_first(descriptor: int, *args: str, **kwargs: str) -> object:
        found = os.fstat(descriptor)
        modes[Path(f"/proc/self/fd/{descriptor}").readlink().name] = stat.S_IMODE(found.st_mode)
        assert found.st_size == 0
        return real(descriptor, *args, **kwargs)

    monkeypatch.setattr(os, "fdopen", look_first)
    before = os.umask(0)
    try:
        public, secret = keys.make(str(tmp_path / "laptop"))
    finally:
        os.umask(before)
    beside = {f".{path.name}.{os.getpid()}.part": path for path in (public, secret)}  # renamed when it is whole
    assert {beside[name]: mode for name, mode in modes.items()} == {public: 0o644, secret: 0o600}
    assert (mode(public), mode(secret)) == (0o644, 0o600)


@pytest.mark.parametrize("there", ["laptop.key", "laptop.key_secret"])
def test_keys_that_are_there_are_kept(tmp_path: Path, there: str) -> None:
    """Keys are not written over, nor half of them, unless that is wanted."""
    (tmp_path / there).write_text("precious")
    with pytest.raises(TargetExists, match=f"{there}: is there already; .*--force"):
        keys.make(str(tmp_path / "laptop"))
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "precious"
    _, secret = keys.make(str(tmp_path / "laptop"), force=True)
    assert mode(secret) == 0o600
    keys.load_secret(secret)


def test_link_is_not_followed(tmp_path: Path) -> None:
    """With --force a link is replaced: what it leads to is somebody else's."""
    (tmp_path / "target").write_text("precious")
    (tmp_path / "laptop.key_secret").symlink_to("target")
    with pytest.raises(TargetExists):
        keys.make(str(tmp_path / "laptop"))
    keys.make(str(tmp_path / "laptop"), force=True)
    assert (tmp_path / "target").read_text() == "precious"


@pytest.mark.parametrize("name", ["", "folder/", "/proc/no/such", "x" * 300])
def test_name_that_cannot_be_written_is_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that no file can have is refused in one line."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        keys.make(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bits", [0o640, 0o620, 0o610, 0o604, 0o602, 0o666])
def test_secret_that_others_can_read_or_write_is_refused(pair: tuple[Path, Path], bits: int) -> None:
    """A secret key that is not ours alone is refused with the command that mends it."""
    pair[1].chmod(bits)
    with pytest.raises(KeysInvalid, match=rf"^{pair[1]}: .*others can read; chmod 600 {pair[1]}$") as caught:
        keys.load_secret(pair[1])
    assert isinstance(caught.value, SettingsError)
    pair[1].chmod(0o400)
    keys.load_secret(pair[1])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_secret_of_another_user_is_refused(pair: tuple[Path, Path]) -> None:
    """A secret key that another user owns is refused: that user can read it."""
    os.chown(pair[1], 12345, -1)
    with pytest.raises(KeysInvalid, match="another user; chown"):
        keys.load_secret(pair[1])


KEY = "0123456789abcdefghijklmnopqrstuvwxyzABCD"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no such key; make keys with `patchedge keygen`"),
        (b"", "is not a key"),
        (b"\xff\xfe\x00" * 50, "is not a key"),
        (b"public-key", "is not a key"),
        (b'public-key = "short"', "is not a key"),
        (b'public-key = "' + b"x" * 45 + b'"', "is not a key"),
        (f'public-key = "{KEY[:-1]}~"'.encode(), "is not a key"),
        (b"public-key = " + b"x" * 100_000, "is not a key"),
        (f'public-key = "{KEY}"'.encode(), "has no secret key; give the file that ends in .key_secret"),
        (f'public-key = "{KEY}"\nsecret-key = "short"'.encode(), "is not a key"),
        (f'public-key = "{KEY}"\nsecret-key = "{KEY}"'.encode(), "not that of its secret key"),
    ],
)
def test_file_that_is_no_secret_key_is_one_line(tmp_path: Path, text: bytes | None, said: str) -> None:
    """What is missing or is no key is refused in one line that names the file."""
    path = tmp_path / "some.key_secret"
    if text is not None:
        path.write_bytes(text)
        path.chmod(0o600)
    with pytest.raises(KeysInvalid) as caught:
        keys.load_secret(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 78


def test_folder_or_pipe_is_no_key(tmp_path: Path) -> None:
    """What is no regular file is refused, and not waited for."""
    os.mkfifo(tmp_path / "pipe.key")
    for path in (tmp_path / "pipe.key", tmp_path):
        with pytest.raises(KeysInvalid, match="is not a key"):
            keys.load_public(path)


def test_keygen_says_what_comes_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`patchedge keygen` makes the folder, names both files and says what comes next; again it must be forced."""
    monkeypatch.chdir(tmp_path)
    assert main(["keygen", "keys/press-3"]) == 0
    said = capsys.readouterr().out
    for part in ("keys/press-3.key\n", "keys/press-3.key_secret ", "security.clients", "security.secret_key"):
        assert part in said
    first = keys.load_secret(Path("keys/press-3.key_secret"))
    assert first[1].decode() not in said
    assert main(["keygen", "keys/press-3"]) == 2
    assert "patchedge: keys/press-3.key_secret: is there already" in capsys.readouterr().err
    assert main(["keygen", "keys/press-3", "--force"]) == 0
    assert keys.load_secret(Path("keys/press-3.key_secret")) != first


@pytest.mark.parametrize("kind", [str, Path, os.fspath], ids=["str", "Path", "fspath"])
def test_paths_of_keys_may_be_plain_strings(tmp_path: Path, kind: Callable[[Path], str | Path]) -> None:
    """What docs/guide/security.md shows works, `Keys("hall.key_secret", "press-3.key")`, and so do paths everywhere."""
    public, secret = keys.make(kind(tmp_path / "hall"))
    server, _ = keys.make(kind(tmp_path / "press-3"))
    ours = keys.Keys(kind(secret), kind(server))
    assert ours == keys.Keys(secret, server)
    assert keys.load_public(kind(public)) == keys.load_secret(kind(secret))[0]
    with Subscriber(f"ipc://{tmp_path}/events", control=f"ipc://{tmp_path}/control", keys=ours) as subscriber:
        assert subscriber.alive
    with ControlClient(f"ipc://{tmp_path}/control", keys=ours) as device:
        assert device


@pytest.mark.parametrize("wrong", [None, b"hall.key_secret", 7])
def test_what_is_no_path_of_a_key_is_said(wrong: Any) -> None:
    """A key in place of its file, or nothing, is a TypeError that names the argument."""
    with pytest.raises(TypeError, match="Keys: server_key is the path of a file, not"):
        keys.Keys("hall.key_secret", wrong)


def test_what_are_no_keys_is_said(tmp_path: Path) -> None:
    """A pair of file names in place of `Keys` is a TypeError that says what is wanted."""
    pair: Any = ("hall.key_secret", "press-3.key")
    with pytest.raises(TypeError, match=r"keys are Keys\(secret_key, server_key\), not tuple"):
        Subscriber(f"ipc://{tmp_path}/events", keys=pair)
