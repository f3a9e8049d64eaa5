"""Messages and descriptors between processes, and the lives of children."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import msgspec
import pytest

from runtime.process import child as links
from runtime.process.child import PACKET_BYTES, Link, LinkClosed, end, module, spawn

ENOUGH_S = 20.0


class Ping(msgspec.Struct, tag=True, frozen=True):
    """A question."""

    number: int


class Text(msgspec.Struct, tag=True, frozen=True):
    """Something long."""

    text: str


Pair = tuple[Link, Link]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Yield both ends of a link."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    one, other = (Link(sock, Ping | Text) for sock in ends)
    yield one, other
    one.close()
    other.close()


def child(code: str) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a child that has a link and runs `code`."""
    start = "import sys, time; from tests.process.test_child import *; from runtime.process.child import from_parent"
    return spawn((sys.executable, "-c", f"{start}; link = from_parent(sys.argv, Ping | Text); {code}"))


def test_messages_keep_their_bounds_and_their_order(pair: Pair) -> None:
    """Each message is received once, whole, in the order of sending."""
    one, other = pair
    sent = [Ping(1), Text("a" * 30_000), Ping(2)]
    for message in sent:
        one.send(message)
    assert [other.receive(ENOUGH_S) for _ in sent] == [(message, []) for message in sent]
    assert other.receive(0) is None


def test_descriptors_go_with_their_message(pair: Pair) -> None:
    """A descriptor arrives as another one for the same file, closed on exec."""
    one, other = pair
    file = os.memfd_create("test")
    os.write(file, b"hello")
    one.send(Ping(1), [file])
    os.close(file)
    heard = other.receive(ENOUGH_S)
    assert heard is not None
    (copy,) = heard[1]
    assert os.pread(copy, 10, 0) == b"hello"
    assert not os.get_inheritable(copy)
    os.close(copy)


def test_last_words_are_heard_after_the_peer_is_gone(pair: Pair) -> None:
    """What a peer said before it went without reading its own messages is not lost."""
    one, other = pair
    one.send(Ping(1))  # never read: the kernel reports that as a reset
    other.send(Ping(2))
    other.close()
    assert one.receive(ENOUGH_S) == (Ping(2), [])
    with pytest.raises(LinkClosed, match="gone"):
        one.receive(ENOUGH_S)
    with pytest.raises(LinkClosed):
        one.send(Ping(3))


@pytest.mark.parametrize("packet", [b"no json", b'{"type": "Unknown"}', b'{"type": "Ping", "number": "x"}'])
def test_nonsense_closes_the_link_and_its_descriptors(packet: bytes) -> None:
    """A packet that is no message ends the conversation, and leaves no descriptor open."""
    raw, sock = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link = Link(sock, Ping | Text)
    reader, writer = os.pipe()
    socket.send_fds(raw, [packet], [writer])
    os.close(writer)
    with pytest.raises(LinkClosed, match="not a message"):
        link.receive(ENOUGH_S)
    assert os.read(reader, 1) == b"", "the other end of the pipe is open"
    os.close(reader)
    raw.close()
    link.close()


def test_hang_up_ends_a_wait_in_another_thread(pair: Pair) -> None:
    """`hang_up` wakes who receives, here and at the peer; it may be said twice, and after the end."""
    one, other = pair
    ended = threading.Event()

    def wait() -> None:
        with pytest.raises(LinkClosed):
            one.receive(None)
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    one.hang_up()
    assert ended.wait(ENOUGH_S)
    thread.join()
    with pytest.raises(LinkClosed):
        other.receive(ENOUGH_S)
    one.hang_up()
    one.close()
    one.hang_up()
    with pytest.raises(LinkClosed):
        one.send(Ping(1))


@pytest.mark.slow
def test_peer_that_does_not_read_blocks_nobody_for_long(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the queue of a peer stays full, sending to it fails."""
    monkeypatch.setattr(links, "SEND_S", 0.01)
    with pytest.raises(LinkClosed, match="does not read"):
        for _ in range(10_000):
            pair[0].send(Text("a" * 30_000))


def test_message_that_fits_no_packet_is_refused(pair: Pair) -> None:
    """What the receiver would get cut is not sent."""
    with pytest.raises(ValueError, match="does not fit"):
        pair[0].send(Text("a" * PACKET_BYTES))


def test_many_threads_may_send(pair: Pair) -> None:
    """Messages of several threads do not mix."""
    one, other = pair
    threads = [threading.Thread(target=lambda n=n: one.send(Text(str(n) * 1000))) for n in range(8)]
    for thread in threads:
        thread.start()
    heard = {other.receive(ENOUGH_S)[0].text[0] for _ in threads}
    for thread in threads:
        thread.join()
    assert heard == set("01234567")


def test_child_answers_and_ends_when_its_link_is_closed() -> None:
    """A child that receives until the end is gone within the grace, and is reaped."""
    process, sock = child("link.send(link.receive(None)[0]); link.receive(None)")
    link = Link(sock, Ping | Text)
    link.send(Ping(7))
    assert link.receive(ENOUGH_S) == (Ping(7), [])
    link.close()
    assert end(process, ENOUGH_S)
    assert process.returncode == 1  # by LinkClosed


def test_child_that_does_not_end_is_killed() -> None:
    """After the grace a child is killed."""
    process, sock = child("link.send(Ping(1)); time.sleep(1000)")
    link = Link(sock, Ping | Text)
    link.receive(ENOUGH_S)
    link.close()
    assert end(process, 0.01)
    assert process.returncode == -9


def test_child_of_a_dead_parent_does_not_begin() -> None:
    """A child whose parent is another than the one that started it ends at once."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    code = "import sys; from runtime.process.child import from_parent; from_parent(sys.argv, int); sys.exit(9)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(theirs.fileno()), "1"], pass_fds=[theirs.fileno()], check=False, timeout=60
    )
    assert done.returncode == 0
    ours.close()
    theirs.close()


def test_children_get_no_descriptor_but_their_own() -> None:
    """Files, pipes and sockets of the parent are closed in the child."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)  # noqa: FBT003
    process, sock = child("link.send(Ping(1)); time.sleep(1000)")
    link = Link(sock, Ping | Text)
    link.receive(ENOUGH_S)
    os.close(writer)
    assert os.read(reader, 1) == b"", "the child holds the pipe"
    os.close(reader)
    link.close()
    end(process, 0)


def test_command_of_a_module_calls_its_main() -> None:
    """`module` gives a command that runs `main` of a module with the arguments that follow."""
    done = subprocess.run([*module("runtime.cli.main"), "--help"], capture_output=True, text=True, check=False)
    assert "usage" in done.stdout
