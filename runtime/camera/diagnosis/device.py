"""Why a V4L2 device does not open: permission, in use, or no camera."""

from __future__ import annotations

import contextlib
import errno
import getpass
import glob
import os
from collections.abc import Iterator

from runtime.camera.diagnosis.cause import Cause, reason_of
from runtime.camera.sources import v4l2


def check_device(node: str) -> None:
    """Open a device without OpenCV, and reserve a buffer.

    Raises:
        Cause: that fails, or the device is in use or gives no frames.
    """
    try:
        descriptor = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError as error:
        raise Cause(f"{user_name()} may not open {node} (permission denied)", join_group("video")) from error
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise _in_use(node) from error
        remedy = "unplug it and plug it in again; see `dmesg`"
        raise Cause(f"{node} does not open ({reason_of(error)})", remedy) from error
    try:
        if not v4l2.formats(node):
            remedy = "it may be a camera's second node: `patchedge doctor` lists the first ones"
            raise Cause(f"{node} gives no pictures", remedy)
        v4l2.reserve(descriptor)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise _in_use(node) from error
    finally:
        os.close(descriptor)


def user_name() -> str:
    """Return the name of this process's user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, whose user has no name
        return f"user {os.geteuid()}"


def join_group(group: str) -> str:
    """Return what to do so that this user may open the devices of a group."""
    return f"sudo usermod -aG {group} {user_name()}, and log in again; in a container: --device and --group-add"


def _in_use(node: str) -> Cause:
    users = list(_programs_using(node))
    by = f" by {', '.join(users)}" if users else ""
    return Cause(f"{node} is in use{by}", "end the other program: a camera serves one at a time")


def _programs_using(node: str) -> Iterator[str]:
    """Yield the programs that hold a device, as far as this user may see them."""
    for process in glob.glob("/proc/[0-9]*"):  # noqa: PTH207 - no Path
        number = process.rpartition("/")[2]
        with contextlib.suppress(OSError):
            held = (os.path.realpath(link) for link in glob.glob(f"{process}/fd/*"))  # noqa: PTH207
            if int(number) != os.getpid() and node in held:
                with open(f"{process}/comm", encoding="utf-8", errors="replace") as stream:  # noqa: PTH123
                    yield f"{stream.read().strip()} (process {number})"
