"""A disk that is full: path, reason, remedy and exit code 2 in one line, and nothing that is written by halves."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_config.bundle import files as bundles
from edge_config.errors import NotWritten
from edge_config.saving import put, put_all, writing
from edge_config.wire.messages import Part
from export.demo import clip
from export.signing import make_key
from runtime.camera.image_files import walk
from runtime.inference.providers.options import complete
from tests.evaluation.test_evaluate import write_dataset
from tests.support.disks import PAGE_BYTES, fill, small_disk
from tests.support.fakes.answering import Device
from tests.support.processes import DEVICE, ENOUGH_S, EXPORT, call
from tests.support.small import call_device, call_export, small_options
from tests.support.tiny import write_pictures

NO_ROOM = "cannot be written (No space left on device); free disk space, or name another folder"
ONE_PICTURE = 4 * PAGE_BYTES
"""More than a picture of the tiny bundle takes, less than two."""


WRITTEN = (bundles.MODEL, bundles.BANK, bundles.INDEX, bundles.NEIGHBOURS, bundles.GOLDEN)
"""Files of a bundle, in the order in which `fit` writes them."""


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a disk without room."""
    with small_disk(tmp_path / "small", 75) as folder:
        fill(folder)
        yield folder


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Return a bundle, and the arguments of the `fit` that made it."""
    folder = tmp_path_factory.mktemp("fitted")
    words = small_options(folder, folder / "x.bundle")
    assert call_export("fit", *words).code == 0
    return folder / "x.bundle", words


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Return a secret key to sign with."""
    make_key(tmp_path / "line")
    return tmp_path / "line.key"


def left(folder: Path) -> list[str]:
    """Return what lies in a full folder, but for what fills it."""
    return sorted(path.name for path in folder.iterdir() if path.name != "all-the-room")


def is_refused(done: Any, path: Path) -> None:
    """Assert that a command ended with the one line of a full disk that names `path`."""
    code, err = (done.returncode, done.stderr) if isinstance(done, subprocess.CompletedProcess) else (done[0], done[2])
    said = [line for line in err.splitlines() if ": note: " not in line]
    assert (code, len(said)) == (2, 1), err
    assert f"{path}" in said[0]
    assert NO_ROOM in said[0]


def test_pack_and_unpack(tiny_bundle: Path, tmp_path: Path) -> None:
    """Neither leaves a piece of a file or of a bundle, and --force keeps what was there."""
    packed = tmp_path / "tiny.pack"
    assert call_device("bundle", "pack", tiny_bundle, packed).code == 0
    with small_disk(tmp_path / "small", packed.stat().st_size // PAGE_BYTES - 2) as small:
        is_refused(call_device("bundle", "pack", tiny_bundle, small / "x.pack"), small / "x.pack")
        is_refused(call_device("bundle", "unpack", packed, small / "x.bundle"), small / "x.bundle")
        assert left(small) == []
        (small / "x.pack").write_bytes(b"before")
        is_refused(call_device("bundle", "pack", tiny_bundle, small / "x.pack", "--force"), small / "x.pack")
        assert (small / "x.pack").read_bytes() == b"before"
        assert left(small) == ["x.pack"]


@pytest.mark.slow
@pytest.mark.parametrize("short", WRITTEN)
def test_fit(short: str, fitted: tuple[Path, list[str]], tmp_path: Path) -> None:
    """Whichever file of the bundle is the one that does not fit, also those that C libraries write."""
    whole, words = fitted
    pages = {name: -(-(whole / name).stat().st_size // PAGE_BYTES) for name in WRITTEN}
    room = sum(pages[name] for name in WRITTEN[: WRITTEN.index(short)]) + pages[short] // 2
    with small_disk(tmp_path / "small", room or 1) as small:
        if not room:
            fill(small)
        out = small / "x.bundle"
        is_refused(call_export("fit", *words, "--out", out), out)
        assert left(small) == []


def test_recalibrate(tiny_bundle: Path, tmp_path: Path) -> None:
    """No bundle is left where the copy does not fit."""
    images = write_pictures(tmp_path / "new", set(), 5)
    with small_disk(tmp_path / "small", 4) as small:
        done = call_export("recalibrate", tiny_bundle, "--images", images, "--out", small / "x.bundle")
        is_refused(done, small / "x.bundle")
        assert left(small) == []


@pytest.mark.slow
def test_evaluate(tiny_bundle: Path, tmp_path: Path) -> None:
    """Neither file is there where one does not fit, nor the folder that was made for them; old ones stay."""
    dataset = write_dataset(tmp_path / "set", good=2, red=2, bare=0)
    with small_disk(tmp_path / "small", 3) as small:
        words = ["evaluate", tiny_bundle, "--dataset", dataset, "--out"]
        is_refused(call_export(*words, small / "x"), small / "x")
        assert left(small) == []
        (small / "x").mkdir()
        (small / "x/evaluation.json").write_bytes(b"before")
        is_refused(call_export(*words, small / "x"), small / "x")
        assert (left(small / "x"), (small / "x/evaluation.json").read_bytes()) == (["evaluation.json"], b"before")


@pytest.mark.parametrize("pages", [20, 60])
def test_demo(pages: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Normal pictures, the clip (which OpenCV writes without a word), and all else: whole or not at all."""
    monkeypatch.setattr(clip, "NORMAL_PICTURES", 5)
    monkeypatch.setattr(clip, "FRAMES", 10)
    monkeypatch.setattr(clip, "CUTOUTS", ())
    with small_disk(tmp_path / "small", pages) as small:
        is_refused(call_export("demo", small / "x"), small / "x")
        assert left(small / "x" if (small / "x").exists() else small) == []


def test_keys(full: Path) -> None:
    """No key is written by halves, and --force loses no key that was there."""
    is_refused(call_device("keygen", full / "hall"), full / "hall")
    is_refused(call_export("signing-key", full / "line"), full / "line")
    assert left(full) == []
    (full / "hall.key_secret").touch()  # as old keys are, but for their length
    (full / "hall.key").touch()
    is_refused(call_device("keygen", full / "hall", "--force"), full / "hall")
    assert left(full) == ["hall.key", "hall.key_secret"]


def test_sign(tiny_bundle: Path, key: Path, tmp_path: Path) -> None:
    """A bundle that cannot be signed stays as it is."""
    with small_disk(tmp_path / "small", 200) as small:
        bundle = Path(shutil.copytree(tiny_bundle, small / "x.bundle"))
        fill(small)
        is_refused(call_export("sign", bundle, "--key", key), bundle)
        assert left(small) == ["x.bundle"]
        assert not (bundle / bundles.SIGNATURE).exists()


@pytest.mark.slow
def test_pictures_of_a_source(full: Path, tmp_path: Path) -> None:
    """`record` and `probe --save` say it, and leave no piece of a picture."""
    source = write_pictures(tmp_path / "source", set(), 3)
    is_refused(call(*DEVICE, "probe", source, "--save", full / "x.png", "--timeout", "20"), full / "x.png")
    is_refused(call(*DEVICE, "record", source, full / "normal", "--every", "0.001"), full / "normal")
    assert left(full) == []


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """Return a device with two alerts in its journal that bring a picture and a heat map."""
    from edge_config.wire import messages

    with Device(tmp_path) as device:
        parts = (
            Part(name="jpeg", media_type="image/jpeg"),
            Part(name="heat_map", media_type="application/octet-stream", dtype="float32", shape=(40, 40)),
        )
        for alert in ("one", "two"):
            device.alert("a", alert, "start", (bytes(9000), np.zeros((40, 40), "<f4").tobytes()))
            entry = device.journal[-1]
            fields = {name: getattr(entry.message, name) for name in entry.message.__struct_fields__}
            said = type(entry.message)(**{**fields, "parts": parts})
            entry.frames[1] = messages.encode(entry.topic, said)[1]
        yield device


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["watch", "replay"])
def test_alerts_go_on_without_pictures(verb: str, device: Device, full: Path) -> None:
    """Each alert is printed, that pictures cannot be saved is said once, and no piece of one is left."""
    words = [device.events, "--control", device.control, "--name", "hall", "--kind", "alert", "--count", "2"]
    words = [*words, "--timeout", str(ENOUGH_S)] if verb == "watch" else [device.control]
    done = call(*DEVICE, verb, *words, "--save", full / "saved")
    assert done.returncode == 0, done.stderr
    assert [line.split("ALERT start ")[1].split()[0] for line in done.stdout.splitlines()] == ["one", "two"]
    assert done.stderr.count(NO_ROOM) == 1
    assert str(full / "saved") in done.stderr
    assert "4 pictures and heat maps were not saved" in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert left(full / "saved") == []


@pytest.mark.parametrize(("command", "words"), [(DEVICE, ["schema"]), (EXPORT, ["--help"])])
def test_standard_output(command: tuple[str, ...], words: list[str]) -> None:
    """What is printed onto a full disk ends in one line too, and not in the interpreter's own words."""
    usual = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("w") as out:
        done = subprocess.run([*command, *words], stdout=out, stderr=subprocess.PIPE, text=True, check=False, env=usual)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert f"standard output: {NO_ROOM}" in done.stderr


def test_limit_on_the_size_of_files(tiny_bundle: Path, tmp_path: Path) -> None:
    """A limit of the user's (`ulimit -f`) is said by its own name."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ONE_PICTURE, limits[1]))
    try:
        done = call_device("bundle", "pack", tiny_bundle, tmp_path / "x.pack")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "x.pack: cannot be written (File too large); free disk space" in done.err
    assert not (tmp_path / "x.pack").exists()


def test_several_files_are_put_together(full: Path, tmp_path: Path) -> None:
    """Where one of several files does not fit, none of them takes the place of what was there."""
    (full / "a").touch()
    with pytest.raises(NotWritten, match="b: cannot be written"):
        put_all({full / "a": b"", full / "b": b"x"})
    assert left(full) == ["a"]
    put(tmp_path / "x", b"new", mode=0o600)
    assert ((tmp_path / "x").read_bytes(), (tmp_path / "x").stat().st_mode & 0o777) == (b"new", 0o600)


def test_disk_that_cannot_be_waited_for_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems have no fsync: a file is written there all the same; what fails in it is said."""

    def failing(number: int) -> Callable[[int], None]:
        def sync(_: int) -> None:
            raise OSError(number, os.strerror(number))

        return sync

    monkeypatch.setattr(os, "fsync", failing(errno.EINVAL))
    put(tmp_path / "x", b"whole")
    assert (tmp_path / "x").read_bytes() == b"whole"
    monkeypatch.setattr(os, "fsync", failing(errno.ENOSPC))  # as a disk says that notices it late
    with pytest.raises(NotWritten, match="No space left on device"):
        put(tmp_path / "x", b"new")
    assert (tmp_path / "x").read_bytes() == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_only_what_writing_says_is_about_the_target(tmp_path: Path) -> None:
    """A file that cannot be read while another is written is not blamed on the other."""
    with pytest.raises(FileNotFoundError), writing(tmp_path, full_only=True):
        (tmp_path / "absent").read_bytes()
    with pytest.raises(NotWritten), writing(tmp_path):
        (tmp_path / "absent" / "x").write_bytes(b"")


@pytest.mark.slow
def test_pictures_that_fit_are_whole(tmp_path: Path) -> None:
    """Of a recording those pictures stay that fitted; each of them can be read."""
    source = write_pictures(tmp_path / "source", set(), 6)
    with small_disk(tmp_path / "small", 7) as small:
        is_refused(call(*DEVICE, "record", source, small / "normal", "--every", "0.001"), small / "normal")
        pictures = list(walk(small / "normal"))
        assert pictures
        assert left(small / "normal") == sorted(path.name for path in pictures)
        assert all(cv2.imread(str(path)) is not None for path in pictures)


def test_folder_for_an_engine(full: Path) -> None:
    """Where TensorRT cannot keep its engine, that is said of the folder."""
    from edge_config.settings.sections import Provider

    (full / "file").touch()
    with pytest.raises(NotWritten, match="file/engines"):
        complete(Provider("TensorrtExecutionProvider", {"trt_engine_cache_path": str(full / "file/engines")}), 1)
