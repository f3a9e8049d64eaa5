"""Access: keys over real sockets, right ones and wrong ones, and what can be read on the wire."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zmq
from structlog.testing import capture_logs

from edge_config.errors import KeysInvalid
from edge_config.settings.sections import Security
from runtime.messaging.listener import OPTIONS
from runtime.security import keys
from runtime.security.access import DOMAIN, Access
from runtime.security.keys import Keys
from tests.support.fakes.tap import Tap
from tests.support.keyring import WAIT_S, Client, Device

TURNED_AWAY_TWICE = 2
"""A client whose key is not known tries again: by then it would have got what it was sent."""

HANDSHAKE_MS = 500
"""More than a handshake takes on a busy machine."""

PLAIN = [b"v1/state/edge/press/", b'"camera"', b"press", b"schema", b"patchedge", b"a reason", b"status", b"a part"]
"""What messages, requests and replies of these tests say."""


@pytest.fixture(autouse=True)
def short_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client whose key is not known may soon try again."""
    monkeypatch.setitem(OPTIONS, zmq.HANDSHAKE_IVL, HANDSHAKE_MS)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """Yield a device that encrypts and knows nobody."""
    with closing(Device(tmp_path)) as device:
        yield device


def intruder(kind: str, device: Device) -> Keys | None:
    """Return what somebody has who must not get in."""
    if kind == "no keys":
        return None
    known = device.keys_of("known")
    if kind == "unknown key":
        return device.keys_of("unknown", allowed=False)
    return Keys(known.secret_key, keys.make(str(device.clients.parent / "other_device"))[0])


@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
def test_known_key_hears_and_is_answered(tmp_path: Path, scheme: str) -> None:
    """With the right keys messages arrive and requests are answered, over TCP and over ipc."""
    with closing(Device(tmp_path, scheme=scheme)) as device:
        known = device.keys_of("laptop")
        with closing(Client(zmq.SUB, device.publisher.endpoint, known)) as subscriber:
            assert subscriber.hears(device.publish)
        with closing(Client(zmq.REQ, device.control.endpoint, known)) as asker:
            asker.ask(id="1")
            assert asker.reply()["reply"] == {"camera": "press"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["no keys", "unknown key", "other device's key"])
def test_intruder_hears_nothing(device: Device, kind: str) -> None:
    """Without the right keys the handshake fails, and nothing that is published arrives."""
    known = device.keys_of("laptop")
    with (
        closing(Client(zmq.SUB, device.publisher.endpoint, known)) as subscriber,
        closing(Client(zmq.SUB, device.publisher.endpoint, intruder(kind, device))) as outsider,
    ):
        outsider.turned_away()
        assert subscriber.hears(device.publish)
        if kind != "no keys":  # ZeroMQ does not try again where the other side encrypts and it does not
            for _ in range(TURNED_AWAY_TWICE):
                outsider.turned_away()
        assert not outsider.socket.poll(0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["no keys", "unknown key", "other device's key"])
def test_intruder_is_not_answered(device: Device, kind: str) -> None:
    """Without the right keys no request is taken, and none is answered."""
    known = device.keys_of("laptop")
    with (
        closing(Client(zmq.DEALER, device.control.endpoint, intruder(kind, device))) as outsider,
        closing(Client(zmq.REQ, device.control.endpoint, known)) as asker,
    ):
        outsider.ask(id="stranger")
        outsider.turned_away()
        asker.ask(id="known")
        assert asker.reply()["id"] == "known"
        if kind != "no keys":
            for _ in range(TURNED_AWAY_TWICE):
                outsider.turned_away()
        assert not outsider.socket.poll(0)
        assert next(device.control._numbers) == 2  # so many requests reached it


@pytest.mark.slow
def test_denials_are_counted_and_told_once(device: Device) -> None:
    """A client that is turned away again and again is one line of the log, and a counter."""
    stranger = device.keys_of("stranger", allowed=False)
    with capture_logs() as told, closing(Client(zmq.SUB, device.publisher.endpoint, stranger)) as outsider:
        for _ in range(TURNED_AWAY_TWICE):
            outsider.turned_away()
    assert device.access.denied >= TURNED_AWAY_TWICE
    said = [line for line in told if "client refused" in line["event"]]
    assert [line["public_key"] for line in said] == [keys.load_public(stranger.secret_key).decode()]


def test_key_that_is_added_gets_in_without_a_restart(device: Device) -> None:
    """A client that has been waiting outside gets in once its key is in the folder and that was read again."""
    stranger = device.keys_of("new", allowed=False)
    with closing(Client(zmq.SUB, device.publisher.endpoint, stranger)) as client:
        client.turned_away()
        public = stranger.secret_key.with_suffix(keys.PUBLIC)
        (device.clients / "new.key").write_bytes(public.read_bytes())
        assert device.access.refresh() is False
        client.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        assert client.hears(device.publish)


def test_key_that_is_removed_is_cut_off(device: Device) -> None:
    """A client whose key has gone hears nothing after the sockets are bound anew; others come back by themselves."""
    known, removed = device.keys_of("known"), device.keys_of("removed")
    events, control = device.publisher.endpoint, device.control.endpoint
    with (
        closing(Client(zmq.SUB, events, known)) as stays,
        closing(Client(zmq.SUB, events, removed)) as goes,
        closing(Client(zmq.DEALER, control, removed)) as asks,
    ):
        assert stays.hears(device.publish)
        assert goes.hears(device.publish)
        asks.ask()
        asks.reply()
        (device.clients / "view" / "removed.key").unlink()
        assert device.access.refresh() is True
        assert device.access.refresh() is False
        epoch, seq = device.publisher.epoch, device.publisher.seq("state", "press")
        device.rebind()
        assert (device.publisher.endpoint, device.control.endpoint) == (events, control)
        for client in (goes, asks):
            client.wait_for(zmq.EVENT_DISCONNECTED)
            client.turned_away()
        while goes.socket.poll(0):
            goes.socket.recv_multipart()
        assert stays.hears(device.publish)
        assert device.publisher.epoch == epoch
        assert device.publisher.seq("state", "press") > seq
        assert not goes.socket.poll(0)


def test_nobody_decides_nobody_gets_in(device: Device) -> None:
    """If what decides about keys has ended, a known key does not get in either: not everybody does."""
    known = device.keys_of("known")
    device.access.close()
    with closing(Client(zmq.SUB, device.publisher.endpoint, known)) as client:
        client.turned_away()
        device.publish()
        assert not client.socket.poll(0)


@pytest.mark.parametrize("there", [True, False])
def test_no_client_key_means_nobody(tmp_path: Path, there: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A folder that is empty or missing lets in nobody, and says so."""
    with capture_logs() as told, closing(Device(tmp_path)) as device:
        if not there:
            shutil.rmtree(device.clients)
            device.access.refresh()
        stranger = device.keys_of("stranger", allowed=False)
        with closing(Client(zmq.SUB, device.publisher.endpoint, stranger)) as client:
            client.turned_away()
    assert "no client can connect" in told[0]["event"]


def test_files_that_are_no_keys_are_passed_over_and_told_once(device: Device) -> None:
    """Among the clients' keys anything may lie; each such file is one line of the log until it changes."""
    (device.clients / "README").write_text("clients")
    (device.clients / "broken.key").write_bytes(b"\xff" * 100)
    (device.clients / "folder.key").mkdir()
    (device.clients / "nowhere.key").symlink_to("nowhere")
    os.mkfifo(device.clients / "pipe.key")
    with capture_logs() as told:
        known = device.keys_of("known")
        device.keys_of("second")
        (device.clients / "broken.key").write_bytes(b"\xfe" * 101)
        device.access.refresh()
    names = sorted(line["problem"].split(":")[0].rpartition("/")[2] for line in told if "problem" in line)
    assert names == ["README", "broken.key", "broken.key", "folder.key", "nowhere.key", "pipe.key"]
    with closing(Client(zmq.SUB, device.publisher.endpoint, known)) as client:
        assert client.hears(device.publish)


def test_questions_that_are_none_do_not_stop_the_deciding(device: Device) -> None:
    """Whatever the thread that decides is asked, it refuses, and lets in who may afterwards."""
    key = b"k" * 32
    good = [b"1.0", b"7", DOMAIN, b"127.0.0.1", b"", b"CURVE", key]
    bad = [[], [b""], [b"1.0"], [b"1.0", b"7"], good[:6], [*good, key], [b"2.0", *good[1:]], [*good[:6], b"short"]]
    bad += [[*good[:2], b"other", *good[3:]], [*good[:5], b"NULL", key], [*good[:5], b"GSSAPI", b"\xff"], good]
    with device.context.socket(zmq.DEALER) as asker:
        asker.connect("inproc://zeromq.zap.01")
        for question in bad:
            asker.send_multipart([b"", *question] if question else [b"", b""])
            assert asker.poll(WAIT_S * 1000), question
            assert asker.recv_multipart()[3] == b"300"
    with closing(Client(zmq.SUB, device.publisher.endpoint, device.keys_of("known"))) as client:
        assert client.hears(device.publish)


def test_without_keys_everybody_gets_in_and_nothing_runs() -> None:
    """Settings without keys change nothing: no thread, no encryption."""
    threads = threading.active_count()
    with zmq.Context() as context, closing(Access(context, Security())) as access, context.socket(zmq.XPUB) as socket:
        access.guard(socket)
        assert socket.get(zmq.MECHANISM) == zmq.NULL
        assert (access.encrypted, access.refresh(), access.denied) == (False, False, 0)
        assert threading.active_count() == threads


def test_folder_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    """Where everybody may put a key everybody could get in: refused in one line, with what to do."""
    _, secret = keys.make(str(tmp_path / "device"))
    (tmp_path / "clients").mkdir()
    (tmp_path / "clients").chmod(0o777)
    with zmq.Context() as context, pytest.raises(KeysInvalid, match=f"chmod o-w {tmp_path}/clients"):
        Access(context, Security(secret_key=str(secret), clients=str(tmp_path / "clients")))


@pytest.mark.parametrize("encrypted", [True, False])
def test_wire_shows_no_plain_text(tmp_path: Path, encrypted: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """An eavesdropper finds no topic, no key of JSON and no name of a camera; without encryption all of them."""
    with closing(Device(tmp_path, encrypted=encrypted)) as device:
        known = device.keys_of("known") if encrypted else None
        with (
            closing(Tap(device.publisher.endpoint)) as events,
            closing(Tap(device.control.endpoint)) as control,
            closing(Client(zmq.SUB, events.endpoint, known)) as subscriber,
            closing(Client(zmq.REQ, control.endpoint, known)) as asker,
        ):
            assert subscriber.hears(device.publish)
            asker.ask()
            assert asker.reply()["ok"]
            heard = bytes(events.heard + control.heard)
    assert [plain for plain in PLAIN if plain in heard] == ([] if encrypted else PLAIN)
