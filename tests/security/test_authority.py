"""What a client's key may ask for, over real CURVE sockets: every request with every role."""

from __future__ import annotations

import itertools
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq
from structlog.testing import capture_logs

from edge_config.errors import RequestError
from edge_config.settings.parse import parse
from edge_config.wire import requests
from runtime.cli.main import main
from runtime.client.subscriber import Subscriber
from runtime.events import Asked
from runtime.journal.database import MAX_SUBSCRIBERS
from runtime.journal.name_owners import MAX_NAMES
from runtime.messaging.sockets import Wire, open_wire
from runtime.security import keys
from runtime.security.keys import Keys
from tests.support.journals import alert
from tests.support.keyring import WAIT_S, Client

FIELDS: dict[str, dict[str, Any]] = {
    "status": {},
    "snapshot": {},
    "after": {},
    "replay": {"topic": "v1/alert/edge/cam/"},
    "pending": {"subscriber": "hall"},
    "ack": {"subscriber": "hall", "alert_id": "a"},
    "report_gap": {"topic": "v1/score/edge/cam/", "missed": 1},
    "reload": {},
    "forget": {"subscriber": "somebody"},
    "configure": {"camera": "cam", "alerts": {"threshold": 3}},
    "pause": {"camera": "cam"},
    "picture": {"camera": "cam"},
    "resume": {"camera": "cam"},
    "teach": {"camera": "cam"},
    "stop_teaching": {"camera": "cam"},
    "pictures": {},
    "fetch_picture": {"camera": "cam", "picture": "20261127T140512345Z-0a1b2c3d"},
    "accept": {"camera": "cam", "all": True},
    "reject": {"camera": "cam", "all": True},
    "false_alarm": {"camera": "cam", "alert_id": "a"},
    "delete_pictures": {"camera": "cam"},
    "learn_on": {"camera": "cam"},
    "stop_learning": {"camera": "cam"},
    "rollback": {"camera": "cam"},
    "burn_in": {"camera": "cam"},
    "stage": {"camera": "cam", "path": "/fleet/new.bundle"},
    "staged": {"camera": "cam"},
    "shadow": {"camera": "cam", "seconds": 1},
    "activate": {"camera": "cam", "bundle": "0" * 64},
    "go_back": {"camera": "cam"},
    "unstage": {"camera": "cam"},
    "versions": {"camera": "cam"},
    "undo": {"camera": "cam"},
    "changes": {"camera": "cam"},
    "fetch": {"camera": "cam", "clip": "cam-20261127T084611Z-0b6c7f0e-5b0c-4f0e-8a53-9a3d1c2b4e5f.avi"},
    "inspect": {"camera": "cam", "height": 2, "width": 3},
    "logs": {},
    "metrics": {},
    "orders": {},
    "settings": {},
    "doctor": {},
    "doctor_report": {},
}
"""A good request of each kind."""

PARTS = {"inspect": (b"pixels",)}
"""What further frames it has."""

VIEW = {"staged", "status", "snapshot", "after", "replay", "pending", "ack", "report_gap", "picture", "pictures"} | {
    "fetch_picture",
    "versions",
    "changes",
    "fetch",
    "logs",
    "metrics",
    "orders",
    "settings",
    "doctor_report",
}
"""What changes nothing but the client's own acknowledgements."""

_numbers = itertools.count()


class Device:
    """Sockets and journal of a device that does at once whatever its main loop is asked.

    Attributes:
        asked: what reached the main loop.
        folder: of the clients' keys.
        journal: path of its file.
    """

    def __init__(self, folder: Path, stack: ExitStack, *, encrypted: bool = True) -> None:
        self.folder, self.journal = folder / "clients", folder / "journal.sqlite"
        for role in ("view", "operate"):
            (self.folder / role).mkdir(parents=True, exist_ok=True)
        self.key, secret = keys.make(str(folder / "device"), force=True)
        security = {"secret_key": str(secret), "clients": str(self.folder)} if encrypted else {}
        tree = {
            "bundle": "none",
            "cameras": {"cam": {"source": 0}},
            "events": {"bind": "tcp://127.0.0.1:*"},
            "control": {"bind": "tcp://127.0.0.1:*"},
            "journal": {"path": str(self.journal)},
            "security": security,
        }
        self.asked: list[Asked] = []
        self.wire: Wire = open_wire(parse(tree), self._tell, stack)

    def _tell(self, event: Any) -> None:
        if isinstance(event, Asked):
            self.asked.append(event)
            self.wire.control.reply(event, "done")

    def keys_of(self, name: str, role: str = "view") -> Keys:
        """Make the keys of a client and put the public one where the role wants it; "" is no folder of a role."""
        public, secret = keys.make(str(self.folder.parent / f"of-{name}-{next(_numbers)}"))
        (self.folder / role / f"{name}.key").write_bytes(public.read_bytes())
        self.wire.access.refresh()
        return Keys(secret, self.key)

    @contextmanager
    def client(self, its: Keys | None) -> Iterator[Client]:
        with closing(Client(zmq.DEALER, self.wire.control.endpoint, its)) as client:
            yield client

    def ask(self, its: Keys | None, request: str, **fields: Any) -> dict[str, Any]:
        """Ask once, by a connection of its own."""
        with self.client(its) as client:
            client.ask(*PARTS.get(request, ()), request=request, **fields)
            return client.reply()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Read the journal's file."""
        with closing(sqlite3.connect(self.journal)) as database:
            return database.execute(query).fetchall()


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    """Return a device with keys."""
    with ExitStack() as stack:
        yield Device(tmp_path, stack)


def public(its: Keys) -> str:
    return keys.load_public(its.secret_key).decode()


@pytest.mark.parametrize("role", ["view", "", "operate"])
@pytest.mark.parametrize("request_", requests.REQUESTS)
def test_each_request_needs_its_role(device: Device, request_: str, role: str) -> None:
    """A key that may view is refused what changes anything, in one line that says what is needed; operate may all."""
    answer = device.ask(device.keys_of("client", role), request_, id="7", **FIELDS[request_])
    allowed = role == "operate" or request_ in VIEW
    assert (answer["ok"], answer["id"]) == (allowed, "7")
    if not allowed:
        assert answer["error"].startswith(f"`{request_}` needs a key of the role operate; on the device")
        assert answer["denied"]
        assert device.wire.control.refused == {"role": 1}
        assert device.asked == []


@pytest.mark.parametrize("request_", requests.REQUESTS)
def test_without_keys_everything_is_allowed(tmp_path: Path, request_: str) -> None:
    """On a device without keys, which only its own machine reaches, a client may send all requests, as ever."""
    with ExitStack() as stack:
        device = Device(tmp_path, stack, encrypted=False)
        assert device.ask(None, request_, **FIELDS[request_])["ok"]


def test_role_changes_while_a_client_is_connected(device: Device) -> None:
    """A key that is moved from one folder to the other has its new role at once, also on an open connection."""
    its = device.keys_of("client")
    with device.client(its) as client:
        for role, other in (("operate", "view"), ("view", "operate")):
            (device.folder / other / "client.key").rename(device.folder / role / "client.key")
            assert not device.wire.admit()
            client.ask(request="reload")
            assert client.reply()["ok"] == (role == "operate")


def test_refused_orders_are_told_once(device: Device) -> None:
    """A client that asks again and again for what it may not is one line of the log, which names its key."""
    its = device.keys_of("client")
    with capture_logs() as told, device.client(its) as client:
        for _ in range(3):
            client.ask(request="reload")
            client.reply()
    said = [line for line in told if "request refused" in line["event"]]
    assert [(line["request"], line["public_key"]) for line in said] == [("reload", public(its))]


def test_keys_in_no_role_are_told_of_once(device: Device) -> None:
    """Keys as they lay before there were roles go on as viewers, and the log says once where others belong."""
    with capture_logs() as told:
        device.keys_of("old", "")
        device.keys_of("another", "")
    said = [line for line in told if "have the role view" in line["event"]]
    assert len(said) == 1
    assert said[0]["remedy"].endswith("clients/operate")


def test_key_in_both_roles_is_told_of(device: Device) -> None:
    """A person that copies a key into `view` to take orders away from it, and leaves the other there, is told."""
    its = device.keys_of("client", "operate")
    copy = device.folder / "view" / "copy.key"
    copy.write_bytes((device.folder / "operate" / "client.key").read_bytes())
    with capture_logs() as told:
        assert not device.wire.admit()
    said = [line for line in told if "folders of both roles" in line["event"]]
    assert [Path(line["file"]).parent.name for line in said] == ["operate"]
    with device.client(its) as client:
        client.ask(request="reload")
        assert client.reply()["ok"]


@pytest.mark.parametrize("role", ["view", "operate"])
def test_folder_of_a_role_that_everybody_may_write_is_refused(tmp_path: Path, role: str) -> None:
    """Nobody makes himself an operator: a folder of a role that everybody may write is refused as the folder is."""
    (tmp_path / "clients" / role).mkdir(parents=True)
    (tmp_path / "clients" / role).chmod(0o777)
    with ExitStack() as stack, pytest.raises(keys.KeysInvalid, match=f"chmod o-w {tmp_path}/clients/{role}"):
        Device(tmp_path, stack)


# Names.


def test_name_belongs_to_the_key_that_used_it_first(device: Device) -> None:
    """Another key may neither read nor acknowledge under a name, an operator's neither; the owner goes on."""
    owner, other, operator = device.keys_of("owner"), device.keys_of("other"), device.keys_of("boss", "operate")
    assert device.ask(owner, "pending", subscriber="hall")["ok"]
    for its, request in itertools.product((other, operator), ("pending", "ack")):
        answer = device.ask(its, request, **FIELDS[request])
        assert (answer["ok"], answer["denied"]) == (False, True)
        assert answer["error"].startswith("the name `hall` belongs to another key")
    assert device.ask(owner, "ack", **FIELDS["ack"])["ok"]
    assert device.rows("SELECT name, key FROM subscribers") == [("hall", public(owner))]


def test_name_stays_its_owners_over_a_restart(tmp_path: Path) -> None:
    """Whose a name is stands in the journal: after a restart another key is refused as before."""
    with ExitStack() as stack:
        device = Device(tmp_path, stack)
        owner = device.keys_of("owner")
        assert device.ask(owner, "ack", **FIELDS["ack"])["ok"]
    with ExitStack() as stack:
        device = Device(tmp_path, stack)
        owner = Keys(owner.secret_key, device.key)
        assert not device.ask(device.keys_of("other"), "pending", subscriber="hall")["ok"]
        assert device.ask(owner, "pending", subscriber="hall")["ok"]


def test_forgotten_name_is_free(device: Device) -> None:
    """What an operator has forgotten another key may take; a name that never was is said not to be known."""
    owner, other, operator = device.keys_of("owner"), device.keys_of("other"), device.keys_of("boss", "operate")
    device.ask(owner, "pending", subscriber="hall")
    assert device.ask(operator, "forget", subscriber="hall")["reply"] == {"known": True}
    assert device.ask(operator, "forget", subscriber="hall")["reply"] == {"known": False}
    assert device.ask(other, "pending", subscriber="hall")["ok"]
    assert not device.ask(owner, "pending", subscriber="hall")["ok"]


def test_key_cannot_take_all_names(device: Device) -> None:
    """The journal knows so many names only: no key can have so many of them that others fall out."""
    assert MAX_NAMES < MAX_SUBSCRIBERS / 2
    greedy = device.keys_of("greedy")
    with device.client(greedy) as client:
        for number in range(MAX_NAMES + 1):
            client.ask(request="pending", subscriber=f"name-{number}")
            answer = client.reply()
            assert answer["ok"] == (number < MAX_NAMES)
    assert f"{MAX_NAMES} names already" in answer["error"]


def test_journal_names_the_key_of_each_acknowledgement_and_order(device: Device) -> None:
    """What was acknowledged and ordered is written down with the key that it came with, not with a claimed name."""
    hall, boss = device.keys_of("hall"), device.keys_of("boss", "operate")
    device.wire.recorder.put(alert("a", "start", 1))
    device.ask(hall, "ack", subscriber="hall", alert_id="a")
    device.ask(boss, "reload", path="/new.bundle")
    device.ask(boss, "forget", subscriber="nobody")
    device.ask(hall, "reload")
    assert device.rows("SELECT alert_id, subscriber, key FROM acks") == [("a", "hall", public(hall))]
    found = device.rows("SELECT request, key, fields, t_ns FROM orders ORDER BY number")
    assert [(name, key) for name, key, _, _ in found] == [("reload", public(boss)), ("forget", public(boss))]
    assert json.loads(found[0][2])["path"] == "/new.bundle"
    assert abs(found[0][3] - time.time_ns()) < WAIT_S * 1e9


def test_subscriber_with_a_name_of_another_key_is_told_so(device: Device) -> None:
    """A subscriber whose name is another's does not wait in silence: what it receives is an error that says so."""
    device.ask(device.keys_of("owner"), "pending", subscriber="hall")
    url, its = device.wire.control.endpoint, device.keys_of("other")
    with (
        Subscriber(device.wire.publisher.endpoint, control=url, name="hall", keys=its) as subscriber,
        pytest.raises(RequestError, match="the name `hall` belongs to another key; use another name"),
    ):
        subscriber.receive(WAIT_S)


def test_verb_forgets(device: Device, capsys: pytest.CaptureFixture[str]) -> None:
    """`patchedge forget` asks with an operator's key, and says what came of it, also what it may not, in one line."""
    viewer, operator = device.keys_of("viewer"), device.keys_of("boss", "operate")
    device.ask(viewer, "pending", subscriber="hall")

    def forget(name: str, its: Keys) -> tuple[int, str]:
        at = device.wire.control.endpoint
        with capture_logs():  # of the device, which is in this process
            code = main(["forget", name, at, "--key", str(its.secret_key), "--server-key", str(its.server_key)])
        said = capsys.readouterr()
        return code, said.out + said.err

    assert forget("hall", viewer)[0] == RequestError.exit_code
    assert forget("hall", operator) == (0, "hall: forgotten\n")
    assert forget("hall", operator) == (0, "hall: the device knows no such subscriber\n")
    assert forget("the hall", operator) == (2, "patchedge: the hall: not the name of a subscriber\n")


def test_orders_say_who_changed_what_for_whom(device: Device) -> None:
    """The audit log can be read over the wire: the newest first, with the key, and the person that it claims."""
    operator, viewer = device.keys_of("operator", "operate"), device.keys_of("viewer")
    device.ask(operator, "pause", camera="cam", user="Anna")
    device.ask(operator, "resume", camera="cam")
    device.ask(viewer, "status", user="Anna")
    device.ask(operator, "configure", camera="cam")  # changes nothing
    found = device.ask(viewer, "orders", limit=2)["reply"]["orders"]
    key = public(operator)
    assert [(one["request"], one["user"], one["key"]) for one in found] == [("resume", "", key), ("pause", "Anna", key)]
    assert len(device.ask(viewer, "orders", limit=1)["reply"]["orders"]) == 1
