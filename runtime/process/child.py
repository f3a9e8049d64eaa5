"""A child process and the socket to it: typed messages and descriptors both ways, and no orphans.

A packet is one message in JSON, a msgspec Struct of a tagged union, and the descriptors that go with it.

Without a socket: a risky check in a process that may crash, `ask`.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

import msgspec

from runtime.process.signals import signal_name

PACKET_BYTES = 1 << 16
"""Maximum length of a message."""

DESCRIPTORS = 8
"""Maximum number of descriptors of one message."""

SEND_S = 1.0
"""Time-out of sending: a peer whose queue stays full for this time counts as gone."""

GRACE_S = 0.3
"""Time-out for a child to exit by itself after its socket is closed."""

KILLED_S = 0.2
"""Time-out for a killed process to exit; the kernel may hold it longer inside a driver."""

LINE_BYTES = 1 << 16
"""Maximum length of a line of a child's standard error; longer ones are split."""

TIMEOUT_S = 180.0
"""Time-out of all checks but building an engine, on a slow and busy device."""

BUILDING_S = 1200.0
"""Time-out for a provider that builds an engine, or for building an index, on a small device."""

_RIGHTS_BYTES = socket.CMSG_LEN(DESCRIPTORS * array("i").itemsize)
_PR_SET_PDEATHSIG = 1

_readers: dict[int, threading.Thread] = {}  # of the standard errors of children, by process

T = TypeVar("T")


class LinkClosed(Exception):
    """The other end is gone."""


class Link(Generic[T]):
    """One end of a seqpacket socket. Any thread may send; one thread receives, and that one closes."""

    def __init__(self, sock: socket.socket, kinds: Any) -> None:
        """Use `sock`; `kinds` is the union of tagged structs that may be received."""
        self._socket = sock
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(kinds)
        self._sending = threading.Lock()
        self._closing = threading.Lock()
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)

    def send(self, message: msgspec.Struct, descriptors: Sequence[int] = (), *, wait_s: float = SEND_S) -> None:
        """Send a message and copies of some descriptors; waits for a full queue, at most `wait_s`.

        Raises:
            LinkClosed: the peer is gone, or does not read.
            ValueError: the message is longer than a packet may be.
        """
        packet = msgspec.json.encode(message)
        if len(packet) > PACKET_BYTES:
            raise ValueError(f"a message of {len(packet)} bytes does not fit in a packet")
        with self._sending:
            try:
                self._send(packet, descriptors, wait_s)
            except OSError as error:
                raise LinkClosed(f"the peer does not read ({error.strerror or error})") from error

    def receive(self, timeout_s: float | None) -> tuple[T, list[int]] | None:
        """Wait for a message; None after the time-out.

        Args:
            timeout_s: None waits indefinitely.

        Returns:
            The message and its descriptors, which the caller must close.

        Raises:
            LinkClosed: the peer is gone and everything it sent was received, or it sent an invalid message.
        """
        if not self._readable.poll(None if timeout_s is None else max(0.0, timeout_s * 1000)):
            return None
        packet, descriptors = self._read_packet()
        try:
            return self._decoder.decode(packet), descriptors
        except msgspec.MsgspecError as error:
            _close(descriptors)
            if not packet:
                raise LinkClosed("the peer is gone") from None
            raise LinkClosed(f"not a message: {error}") from error

    def hang_up(self) -> None:
        """Make `receive` and `send` raise LinkClosed here and at the peer; any thread may call this."""
        with self._closing, contextlib.suppress(OSError):  # the peer may have been first
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket; only for the thread that receives."""
        with self._sending, self._closing:
            self._socket.close()

    def _send(self, packet: bytes, descriptors: Sequence[int], wait_s: float) -> None:
        # socket.send_fds and recv_fds of Python 3.10 and 3.11 take flags, and ignore them.
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))]
        try:
            self._socket.sendmsg([packet], rights, socket.MSG_DONTWAIT)
        except BlockingIOError:
            writable = select.poll()
            writable.register(self._socket, select.POLLOUT)
            writable.poll(wait_s * 1000)
            self._socket.sendmsg([packet], rights, socket.MSG_DONTWAIT)

    def _read_packet(self) -> tuple[bytes, list[int]]:
        while True:
            try:
                packet, rights, marks, _ = self._socket.recvmsg(PACKET_BYTES, _RIGHTS_BYTES, socket.MSG_CMSG_CLOEXEC)
            except ConnectionResetError:
                continue  # once, of a peer that exited without reading everything; what it sent can still be read
            except OSError as error:
                raise LinkClosed("the peer is gone") from error
            descriptors = array("i", b"".join(data for _, _, data in rights)).tolist()
            if marks & socket.MSG_CTRUNC:
                _close(descriptors)
                raise LinkClosed("too many open files")
            return packet, descriptors


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def module(name: str) -> tuple[str, ...]:
    """Return the command that calls `main` of one of our modules, whose result is the exit code.

    It does not depend on what is in the working directory.
    """
    root = str(Path(__file__).parents[2])
    paths = f"import sys; sys.path[:] = filter(None, sys.path); {root!r} in sys.path or sys.path.insert(0, {root!r})"
    return sys.executable, "-c", f"{paths}; from {name} import main; sys.exit(main())"


def spawn(
    command: Sequence[str], hide: Callable[[str], str] | None = None
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a child, which gets its end of a socket by `from_parent`.

    Call it from a thread that outlives the child: the child is killed when the thread that started it ends.

    Args:
        command: the command line of the child.
        hide: hides secrets in a line of its standard error; without it, the child inherits ours.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with theirs:
            number = theirs.fileno()
            process = subprocess.Popen(
                [*command, str(number), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # ours is for results, not for the output of libraries
                stderr=subprocess.PIPE if hide else None,
                pass_fds=[number],
            )
    except BaseException:
        ours.close()
        raise
    if hide:
        name = f"stderr of {process.pid}"
        reader = threading.Thread(target=_hand_on, args=(process.stderr, hide), name=name, daemon=True)
        _readers[process.pid] = reader
        reader.start()
    return process, ours


def _hand_on(stream: BinaryIO, hide: Callable[[str], str]) -> None:
    """Copy a stream to our standard error; keep reading even if writing fails, or the child would block."""
    with stream:
        while line := stream.readline(LINE_BYTES):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                sys.stderr.write(hide(line.decode(errors="replace")))
                sys.stderr.flush()


def end(process: subprocess.Popen[bytes], grace_s: float = GRACE_S) -> bool:
    """Wait for a child whose socket is closed, kill it after a time-out, and reap it.

    Returns:
        Whether it is gone. If the kernel holds it inside a driver it is not: `poll` it again later.
    """
    try:
        process.wait(grace_s)
    except subprocess.TimeoutExpired:
        process.kill()
    try:
        process.wait(KILLED_S)
    except subprocess.TimeoutExpired:
        return False
    if reader := _readers.pop(process.pid, None):
        reader.join(KILLED_S)  # for the last lines that it has written
    return True


def from_parent(arguments: Sequence[str], kinds: Any) -> Link[Any]:
    """Connect a child to its parent: it is killed with the parent. Call this first of all.

    Args:
        arguments: the command line; its last two are from `spawn`.
        kinds: the union of tagged structs that may be received.
    """
    number, parent = (int(word) for word in arguments[-2:])
    die_with_parent(parent)
    os.set_inheritable(number, False)  # noqa: FBT003 - os takes it by place
    return Link(socket.socket(fileno=number), kinds)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when the thread that started it ends; exit now if it has ended."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        os._exit(0)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Result of a check.

    Attributes:
        value: its output, decoded from JSON; None if it failed.
        problem: the reason of the failure; empty if there was none.
        illegal: it was killed by an instruction that this processor lacks.
    """

    value: Any = None
    problem: str = ""
    illegal: bool = False


def ask(name: str, *arguments: str, timeout_s: float = TIMEOUT_S) -> CheckResult:
    """Run `main` of one of our modules, which prints JSON, with arguments; or run code if the module is `-c`.

    A library that was built for another processor ends its process by SIGILL; a provider of ONNX Runtime may hang.
    """
    command = (sys.executable, "-c", *arguments) if name == "-c" else (*module(name), *arguments)
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return CheckResult(problem=f"no answer within {timeout_s:g} s")
    if done.returncode < 0:
        return CheckResult(
            problem=f"ended by {signal_name(-done.returncode)}", illegal=done.returncode == -signal.SIGILL
        )
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        return CheckResult(problem=last[:200] or f"ended with exit code {done.returncode}")
    found = _answer_in(done.stdout)
    if name != "-c" and found == CheckResult():  # a library may end a process as if all were well
        return CheckResult(problem="it ended without an answer")
    return found


def _answer_in(output: bytes) -> CheckResult:
    """Return the last line that is JSON: what libraries print, they may flush only at the end of the process."""
    lines = output.strip().splitlines()
    for line in reversed(lines):
        with contextlib.suppress(msgspec.MsgspecError):
            return CheckResult(msgspec.json.decode(line))
    return CheckResult(problem="its output is not JSON" if lines else "")
