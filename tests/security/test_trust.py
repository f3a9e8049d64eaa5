"""Signed bundles from the workshop to the device, and the device that does not trust an index."""

from __future__ import annotations

import json
import os
import queue
import shutil
from pathlib import Path
from typing import Any

import pytest

from edge_config import errors
from edge_config.bundle import files as bundles
from edge_config.settings.parse import parse
from edge_config.settings.sections import Trust
from runtime.events import EngineReady, EngineRefused, Reloaded, ReloadRefused
from runtime.inference.engine import Engine
from runtime.inference.load import load
from runtime.inference.protocol import ScoringOptions
from runtime.security.trust import public_key
from tests.support.forge import reseal
from tests.support.processes import DEVICE, ENOUGH_S, call
from tests.support.small import call_device, call_export
from tests.support.tiny import strange_picture, write_pictures

SAME_SCORE = 1e-5
"""Relative: an index built by several threads is another graph, and the search makes exact what decides."""


@pytest.fixture
def bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """Return a bundle that may be changed."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "line.bundle"))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Make a pair of keys; give the path of the secret one."""
    done = call_export("signing-key", tmp_path / "line")
    assert done.code == 0, done.err
    return tmp_path / "line.key"


@pytest.fixture
def signed(bundle: Path, key: Path) -> Path:
    """Return a signed bundle."""
    done = call_export("sign", bundle, "--key", key)
    assert done.code == 0, done.err
    return bundle


def public(key: Path) -> Path:
    return key.with_suffix(".pub")


# Keys


def test_secret_key_is_for_its_owner_alone(key: Path) -> None:
    """The secret key is made readable by its owner only, and the public one says what the settings take."""
    assert key.stat().st_mode & 0o777 == 0o600
    text = public(key).read_text().strip()
    assert text.startswith("ed25519:")
    assert public_key(text) == public_key(str(public(key))) == text


@pytest.mark.parametrize("ending", ["key", "pub"])
def test_keys_are_never_replaced(tmp_path: Path, ending: str) -> None:
    """A key that is there stays, and no half of another pair is left."""
    (tmp_path / f"line.{ending}").write_text("dear")
    done = call_export("signing-key", tmp_path / "line")
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["dear"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_key_that_others_may_read_signs_nothing(bundle: Path, key: Path, mode: int) -> None:
    """A secret key that is no secret is refused, and the remedy is named."""
    key.chmod(mode)
    done = call_export("sign", bundle, "--key", key)
    assert done.code == 78
    assert f"chmod 600 {key}" in done.err
    assert not (bundle / bundles.SIGNATURE).exists()


@pytest.mark.parametrize("text", ["", "ed25519:12", "patchedge-signing-key-v1 12\n", "\x00" * 5000])
def test_what_is_no_key_signs_nothing(bundle: Path, key: Path, text: str) -> None:
    """A file that holds no secret key is refused in one line."""
    key.write_text(text)
    done = call_export("sign", bundle, "--key", key)
    assert (done.code, len(done.err.splitlines())) == (78, 1)


def test_public_key_does_not_sign(bundle: Path, key: Path) -> None:
    """The other half of a pair is named as such: closing the file to others would not make it a secret key."""
    done = call_export("sign", bundle, "--key", key.with_suffix(".pub"))
    assert done.code == 78
    assert "is the public key; give the secret one" in done.err
    assert "chmod" not in done.err


def test_public_key_that_everybody_may_change_is_refused(key: Path) -> None:
    """A device takes no key from a file that everybody on it may write."""
    public(key).chmod(0o666)
    with pytest.raises(errors.SettingsError, match="writable by everybody"):
        public_key(str(public(key)))


# Signatures


def test_signing_changes_nothing_but_the_signature(bundle: Path, key: Path) -> None:
    """Signed, a bundle has the same id and files, and one more; signed again with --force, the same bytes."""
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}
    assert call_export("sign", bundle, "--key", key).code == 0
    after = {path.name: path.read_bytes() for path in bundle.iterdir()}
    assert after == {**before, bundles.SIGNATURE: after[bundles.SIGNATURE]}
    assert call_export("sign", bundle, "--key", key).code == 2  # is signed already
    assert call_export("sign", bundle, "--key", key, "--force").code == 0
    assert (bundle / bundles.SIGNATURE).read_bytes() == after[bundles.SIGNATURE]


def test_bad_bundle_is_not_signed(bundle: Path, key: Path) -> None:
    """What must not be served is not signed."""
    os.truncate(bundle / bundles.BANK, 7)
    assert call_export("sign", bundle, "--key", key).code == 65
    assert not (bundle / bundles.SIGNATURE).exists()


def test_info_says_who_signed(signed: Path, key: Path) -> None:
    """`bundle info` and `bundle verify` name the key, and whether it was demanded; without a signature, none."""
    text = public(key).read_text().strip()
    shown = json.loads(call_device("bundle", "info", signed).out)
    assert shown["signature"] == {"key": text, "trusted": False}
    shown = json.loads(call_device("bundle", "info", signed, "--key", text).out)
    assert shown["signature"] == {"key": text, "trusted": True}
    assert f"signed by {text}" in call_device("bundle", "verify", signed).out
    (signed / bundles.SIGNATURE).unlink()
    assert json.loads(call_device("bundle", "info", signed).out)["signature"] == {"key": None, "trusted": False}


@pytest.mark.parametrize("verb", [("bundle", "verify"), ("bundle", "info"), ("check",)])
def test_verbs_demand_the_key_that_they_are_given(signed: Path, key: Path, verb: tuple[str, ...]) -> None:
    """`check` and `bundle` with --key take what this key has signed, and end with 65 and one line for anything else."""
    assert call_device(*verb, signed, "--key", public(key)).code == 0
    (signed / bundles.SIGNATURE).unlink()
    done = call_device(*verb, signed, "--key", public(key))
    assert (done.code, len(done.err.splitlines())) == (65, 1)
    assert "there is no signature" in done.err


@pytest.mark.slow
def test_verbs_that_look_demand_the_keys_of_the_settings(signed: Path, key: Path, tmp_path: Path) -> None:
    """`check`, `warm` and `doctor` take and refuse what `run` does, by `trust.keys` of the settings and by --key."""
    config = tmp_path / "device.yaml"
    config.write_text(f"bundle: {signed}\ncameras: {{cam1: {{source: 0}}}}\ntrust: {{keys: ['{public(key)}']}}\n")
    by_settings, by_key = ("--config", config), (signed, "--key", public(key))
    for code in (0, 65):
        for verb in ("check", "warm"):
            assert call_device(verb, *by_settings).code == code
        assert call_device("warm", *by_key).code == code
        for words in (by_settings, ("--bundle", *by_key)):
            (found,) = json.loads(call_device("doctor", "--json", *words).out)["bundles"]
            assert (found["level"], "no signature" in found["says"]) == (("fail", True) if code else ("ok", False))
        (signed / bundles.SIGNATURE).unlink(missing_ok=True)


@pytest.mark.slow
def test_run_serves_what_is_signed_and_nothing_else(signed: Path, key: Path, tmp_path: Path) -> None:
    """With `trust.keys` in the settings, `run` serves the signed bundle, and without its signature ends with 65."""
    source = write_pictures(tmp_path / "pictures", set(), 2)
    config = tmp_path / "settings.yaml"
    config.write_text(
        f"bundle: {signed}\ncameras: {{top: {{source: {source}, pace: max}}}}\n"
        f"events: {{bind: 'ipc://{tmp_path}/events'}}\ntrust: {{keys: ['{public(key)}']}}\n"
    )
    assert call(*DEVICE, "run", "--config", config).returncode == 0
    (signed / bundles.SIGNATURE).unlink()
    done = call(*DEVICE, "run", "--config", config)
    assert done.returncode == 65
    assert "there is no signature" in done.stderr


def test_reload_of_what_is_not_signed_leaves_the_old_one(signed: Path, key: Path, tiny_bundle: Path) -> None:
    """A reload is refused for the lack of a signature, and taken with one."""
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    trust = Trust(keys=(public(key).read_text().strip(),))
    engine = Engine({"cam1": str(signed)}, told.put, ScoringOptions(threads=1, trust=trust))
    engine.start()
    try:
        assert isinstance(told.get(timeout=ENOUGH_S), EngineReady)
        engine.reload("cam1", str(tiny_bundle))
        refused = told.get(timeout=ENOUGH_S)
        assert isinstance(refused, ReloadRefused)
        assert "there is no signature" in refused.error
        assert refused.kept
        engine.reload("cam1", str(signed))
        assert isinstance(told.get(timeout=ENOUGH_S), Reloaded)
    finally:
        engine.close()


@pytest.mark.slow
def test_key_that_is_not_there_is_said_by_the_worker(signed: Path, tmp_path: Path) -> None:
    """A public key that is missing is a matter of the settings: 78, and the file is named."""
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    trust = Trust(keys=(str(tmp_path / "none.pub"),))
    engine = Engine({"cam1": str(signed)}, told.put, ScoringOptions(threads=1, trust=trust))
    engine.start()
    try:
        refused = told.get(timeout=ENOUGH_S)
        assert isinstance(refused, EngineRefused)
        assert refused.error.exit_code == 78
        assert "none.pub" in str(refused.error)
    finally:
        engine.close()


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"unsigned": "refuse"}, "trust.unsigned"),
        ({"unsigned": "perhaps"}, "trust.unsigned"),
        ({"keys": ["ed25519:12"]}, "is not a key"),
        ({"keys": ["ed25519:" + "A" * 64]}, "is not a key"),
        ({"keys": [""]}, "trust.keys"),
        ({"key": []}, "unknown key `trust.key`; known here: keys, unsigned, rebuild_index"),
    ],
)
def test_mistakes_in_the_settings_are_named(section: dict[str, Any], said: str) -> None:
    """A section `trust` that cannot be meant is refused at once, and the key of it is named."""
    with pytest.raises(errors.SettingsError, match=said.replace("[", r"\[")):
        parse({"bundle": "b", "cameras": {"a": {"source": 0}}, "trust": section})


# One file


def test_packed_file_depends_on_the_bundle_alone(signed: Path, tmp_path: Path) -> None:
    """Copied, with other times, modes and order, a bundle gives the same file; unpacked, the same bundle."""
    copy = tmp_path / "copy.bundle"
    copy.mkdir()
    for name in sorted((path.name for path in signed.iterdir()), reverse=True):
        (copy / name).write_bytes((signed / name).read_bytes())
        (copy / name).chmod(0o600)
        os.utime(copy / name, (1, 1))
    for bundle in (signed, copy):
        assert call_device("bundle", "pack", bundle, bundle.with_suffix(".pack")).code == 0
    assert signed.with_suffix(".pack").read_bytes() == copy.with_suffix(".pack").read_bytes()
    assert call_device("bundle", "unpack", copy.with_suffix(".pack"), tmp_path / "new.bundle").code == 0
    new = tmp_path / "new.bundle"
    assert {path.name: path.read_bytes() for path in new.iterdir()} == {
        path.name: path.read_bytes() for path in signed.iterdir()
    }


def test_tar_lists_a_packed_bundle(signed: Path, tmp_path: Path) -> None:
    """A person without patchedge can look into a packed bundle."""
    call_device("bundle", "pack", signed, tmp_path / "line.pack")
    done = call("tar", "tf", tmp_path / "line.pack")
    assert done.stdout.split() == [bundles.MANIFEST, bundles.SIGNATURE, *bundles.PARTS]


def test_what_is_there_is_replaced_only_by_force(signed: Path, tmp_path: Path) -> None:
    """Neither a file nor a bundle is replaced unless --force is given, and never something else."""
    file, target = tmp_path / "line.pack", tmp_path / "new.bundle"
    for words in (("pack", signed, file), ("unpack", file, target)):
        assert call_device("bundle", *words).code == 0
        assert call_device("bundle", *words).code == 2
        assert call_device("bundle", *words, "--force").code == 0
    assert call_device("bundle", "pack", signed, tmp_path / "line.bundle", "--force").code == 2
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "dear.png").touch()
    assert call_device("bundle", "unpack", file, tmp_path / "pictures", "--force").code == 2
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


# An index that is not trusted


def test_rebuilt_index_gives_the_same_scores(bundle: Path) -> None:
    """With `rebuild_index` the file is not looked at, whatever it holds, and the scores are the same."""
    expected = [load(bundle, 2)[1].another()(strange_picture(seed)).value for seed in range(3)]
    (bundle / bundles.INDEX).write_bytes(b"not to be trusted")
    reseal(bundle)
    with pytest.raises(errors.BundleIndexInvalid):
        load(bundle, 2)
    _, scorer = load(bundle, 2, trust=Trust(rebuild_index=True))
    found = [scorer.another()(strange_picture(seed)).value for seed in range(3)]
    assert found == pytest.approx(expected, rel=SAME_SCORE)


@pytest.mark.slow
def test_check_and_run_rebuild_on_request(bundle: Path, tmp_path: Path) -> None:
    """`check` and `run` with --rebuild-index serve a bundle whose index was changed, and refuse it without."""
    (bundle / bundles.INDEX).write_bytes(b"changed on the way")
    source = write_pictures(tmp_path / "pictures", set(), 2)
    words = ("run", "--bundle", bundle, "--source", source, "--pace", "max", "--bind", f"ipc://{tmp_path}/events")
    for word, code in (([], 65), (["--rebuild-index"], 0)):
        assert call_device("check", bundle, *word).code == code
        assert call(*DEVICE, *words, *word).returncode == code


def test_rebuilding_trusts_all_else_no_more_than_before(signed: Path, key: Path) -> None:
    """Only the index may differ: another bank is refused as ever."""
    trust = Trust(keys=(str(public(key)),), rebuild_index=True)
    load(signed, 1, trust=trust)
    os.truncate(signed / bundles.BANK, 7)
    with pytest.raises(errors.BundleFileSize):
        load(signed, 1, trust=trust)
