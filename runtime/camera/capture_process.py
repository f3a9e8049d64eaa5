"""The capture process of one camera: it opens the source and puts frames into shared memory.

It may hang or crash without harm to others: the runtime's `Feed` starts it, kills it when it hangs, and starts another;
a reconnect is a new process. Messages: `protocol.py`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal

from edge_config.errors import LoginRefused, PatchedgeError, SourceUnavailable
from edge_config.settings.sections import Transport
from runtime.camera import address
from runtime.camera.frame_writer import FrameWriter
from runtime.camera.protocol import Declared, Ended, Looking, Open, Opened, Order, Started
from runtime.camera.sources import v4l2
from runtime.process.child import Link, LinkClosed, from_parent

if TYPE_CHECKING:
    from runtime.camera.sources.grabber import Grabber
    from runtime.camera.sources.recording import Recording

# Libraries that are slow to load are imported in functions, so that each source loads only those that it needs.

Connect = Callable[[int | str, Transport], "Grabber"]
"""Opens a live source, as `sources.live.open_camera` does."""

Play = Callable[[FrameWriter], Ended]
"""Opens a source and plays it to its end."""


def main(connect: Connect | None = None) -> None:
    """Obey the runtime that started this process, until it hangs up or the source ends.

    Args:
        connect: opens a live source; by default `sources.live.open_camera`.
    """
    link: Link[Order] = from_parent(sys.argv, Order)
    with contextlib.suppress(LinkClosed):
        _obey(link, connect)
    os._exit(0)  # at once: a driver's thread may hang


def _obey(link: Link[Order], connect: Connect | None) -> None:
    heard = link.receive(None)
    if heard is None or not isinstance(heard[0], Open):
        return
    order = heard[0]
    try:
        play = _load(order, link, connect)
    except ModuleNotFoundError as error:
        link.send(Ended("absent", f"{error.name} is not installed", f"{error.name} is not installed"))
        return
    link.send(Started())
    writer = FrameWriter(link, order.clips)
    threading.Thread(target=writer.listen, name="listen", daemon=True).start()
    try:
        link.send(_play(play, writer, str(order.source)))
    finally:
        writer.close()


def _load(order: Open, link: Link[Order], connect: Connect | None) -> Play:
    """Load the libraries that a source needs, which takes a while; return what plays it."""
    if order.live and connect is not None:
        return partial(_play_live, order, link, connect)
    import cv2

    cv2.setNumThreads(1)  # images are converted in the calling thread: there is one process per camera
    if order.live:
        from runtime.camera.sources.live import open_camera

        return partial(_play_live, order, link, open_camera)
    from runtime.camera.sources.recording import open_recording
    from runtime.process.log import set_up_logging

    set_up_logging()  # only a recording logs
    opens = partial(open_recording, str(order.source), order.pace, order.fps, order.depth)
    return partial(_play_recording, link, opens)


def _play(play: Play, writer: FrameWriter, source: str) -> Ended:
    """Play a source to its end, whatever that is.

    Raises:
        LinkClosed: the runtime has hung up.
    """
    try:
        return play(writer)
    except LinkClosed:
        raise
    except PatchedgeError as error:
        return Ended(_cause(error), error.what, str(error), error.remedy)
    except Exception as error:  # noqa: BLE001 - whatever a driver throws must reach the runtime
        what = address.without(source, f"capture failed ({type(error).__name__}: {error})")
        return Ended("lost", what, what)


def _cause(error: PatchedgeError) -> Literal["absent", "refused", "lost"]:
    if isinstance(error, LoginRefused):
        return "refused"
    return "absent" if isinstance(error, SourceUnavailable) else "lost"


def _play_live(order: Open, link: Link[Order], connect: Connect, writer: FrameWriter) -> Ended:
    formats = _formats(order)
    try:
        camera = connect(order.source, order.transport)  # never released: that may hang, and the process ends anyway
    except SourceUnavailable as error:
        raise _explain(order, link, error) from error
    link.send(Opened(0.0, _declared(order, camera, formats)))
    ended = SourceUnavailable("delivers no more pictures")
    if writer.write_live(camera, order.first_id) <= 1 and address.plain(order.source).startswith("http"):
        ended = _explain(order, link, ended, opened=True)
    return Ended("lost", ended.what, ended.what, ended.remedy)


def _play_recording(link: Link[Order], opens: Callable[[], Recording], writer: FrameWriter) -> Ended:
    recording = opens()
    link.send(Opened(recording.interval_s))
    writer.write_recording(recording)
    return Ended("end", "end of recording", "end of recording")


def _explain(order: Open, link: Link[Order], error: SourceUnavailable, *, opened: bool = False) -> SourceUnavailable:
    from runtime.camera.diagnosis.explain import explain

    link.send(Looking())
    return explain(order.source, error, order.transport, opened=opened)


def _formats(order: Open) -> tuple[str, ...]:
    """Return the formats that a V4L2 device offers, if they are wanted; before it is opened."""
    if not order.declares or address.kind(order.source) != "device":
        return ()
    return tuple(one for node in address.devices(order.source)[:1] for one in v4l2.formats(node))


def _declared(order: Open, camera: Grabber, formats: tuple[str, ...]) -> Declared:
    if not order.declares:
        return Declared()
    from runtime.camera.sources.grabber import OpenCvGrabber

    return camera.declared(formats) if isinstance(camera, OpenCvGrabber) else Declared()


if __name__ == "__main__":
    main()
