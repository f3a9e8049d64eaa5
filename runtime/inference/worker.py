"""The inference worker process: it scores the frames in shared memory.

Four threads: the main one reads what the parent says, one loads bundles, and two do a half of each frame's stages, so
that a frame is embedded while the one before it is searched. Where a provider gains by it, frames of several cameras
that wait at the same moment are embedded together. A new bundle travels the same way as the frames, so that it takes
over exactly between two of them. Whatever goes wrong beyond a single frame ends the process; the parent starts another.
"""

from __future__ import annotations

import faulthandler
import mmap
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from edge_config.bundle.files import Bundle
from edge_config.errors import MissingExtra
from runtime.frame import BundleInfo, Image
from runtime.inference.batches.attempt import attempt
from runtime.inference.batches.gather import FramePlace, GatherFrames
from runtime.inference.protocol import (
    Attach,
    Begin,
    Detach,
    Done,
    DropBeside,
    FromWorker,
    Job,
    Load,
    LoadBeside,
    Loaded,
    LoadOrder,
    PreviewDone,
    Refusal,
    Review,
    ScoringOptions,
    ShadowDone,
    ToWorker,
)
from runtime.process.affinity import keep_to
from runtime.process.child import Link, LinkClosed, from_parent
from runtime.process.long_payload import pack, unpack
from runtime.process.memory_error import give_back, out_of_memory
from runtime.process.shared_memory import picture
from runtime.view import View

if TYPE_CHECKING:  # OpenCV and ONNX Runtime are loaded while the main thread already receives
    from runtime.inference.batches.embed_together import EmbedTogether
    from runtime.inference.beside.shadow import Shadows
    from runtime.inference.stages import Half, Stages
    from runtime.scene.inspect import Inspect


@dataclass(frozen=True, slots=True)
class _Swap:
    """A bundle that is loaded, or other regions, that take over with the next frame; `loaded` tells the two apart."""

    number: int
    info: BundleInfo
    stages: dict[str, Stages]
    loaded: bool


class Worker:
    """Scores the frames that the parent sends."""

    def __init__(self, link: Link[Any], inspection: Callable[[Bundle], Inspect] | None) -> None:
        """Take the end of the socket, and what makes an inspection; by default `learnt_inspection`."""
        self._link = link
        self._inspection = inspection
        self._memories: dict[int, mmap.mmap] = {}
        self._unmapped: dict[int, tuple[int, int]] = {}  # number -> descriptor, size
        self._stages: dict[str, Stages] = {}
        self._overlap = True
        self._begin: queue.SimpleQueue[tuple[ScoringOptions, dict[str, View]]] = queue.SimpleQueue()
        self._loads: queue.SimpleQueue[LoadOrder] = queue.SimpleQueue()
        self._shadows: Shadows | None = None
        self._together: EmbedTogether | None = None
        self._first: queue.SimpleQueue[tuple[Job, Image | str] | _Swap] = queue.SimpleQueue()
        self._second: queue.SimpleQueue[tuple[Job, Half | str] | _Swap] = queue.SimpleQueue()

    def run(self) -> None:
        """Obey until the parent is gone."""
        for loop in (self._load, self._embed, self._score):
            threading.Thread(target=_or_die, args=(loop,), name=loop.__name__, daemon=True).start()
        while True:
            self._obey(*self._link.receive(None) or (None, []))

    def _obey(self, message: Any, descriptors: list[int]) -> None:
        match message:
            case Job():
                self._first.put((message, self._image(message)))
            case Attach():
                self._unmapped[message.memory] = descriptors.pop(), message.size
            case Detach():
                self._memories.pop(message.memory, None)  # unmapped with the last frame in it that is looked at
                if message.memory in self._unmapped:
                    os.close(self._unmapped.pop(message.memory)[0])
            case Begin():
                (views,) = unpack(descriptors, [message.size])
                self._begin.put((message.options, msgspec.json.decode(views, type=dict[str, View])))
            case Load() | LoadBeside() | DropBeside():
                self._loads.put(message)
            case Review():
                (view,) = unpack(descriptors, [message.size])
                self._loads.put((message, msgspec.json.decode(view, type=View)))
        for descriptor in descriptors:
            os.close(descriptor)

    def _image(self, job: Job) -> Image | str:
        """Return a frame in shared memory, without a copy; or the reason for a failure."""
        try:
            self._map(job.memory)
            return picture(self._memories[job.memory], job.slot, job.hw)
        except OSError as error:
            return f"shared memory cannot be mapped ({error.strerror})"
        except (KeyError, ValueError):
            return "no such slot in shared memory"

    def _map(self, memory: int) -> None:
        """Map a memory with the first frame in it; if that fails, with a later one."""
        if memory in self._unmapped:
            descriptor, size = self._unmapped[memory]
            self._memories[memory] = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
            del self._unmapped[memory]
            os.close(descriptor)

    def _load(self) -> None:
        try:
            from runtime.inference.load_thread import LoadOrders
        except ModuleNotFoundError as error:
            refusal = Refusal.of(MissingExtra(f"{error.name} is not installed", remedy="pip install 'patchedge[cpu]'"))
            while True:
                asked = self._loads.get()
                number = asked[0].number if isinstance(asked, tuple) else getattr(asked, "number", 0)
                self._answer(Loaded(number, refusal=refusal))
        options, views = self._begin.get()
        self._overlap = options.threads != 1
        keep_to(options.affinity)
        orders = LoadOrders(options, views, self._inspection, self._answer)
        self._shadows = orders.shadows
        while True:
            if (made := orders.take(self._loads.get())) is not None:
                self._first.put(_Swap(*made))

    def _embed(self) -> None:
        gather = GatherFrames(self._first, self._place)
        while True:  # no name here: it would hold the last frame, or bundle, until the next one comes
            self._first_of_all(gather.take())

    def _place(self, item: tuple[Job, Image | str] | _Swap) -> FramePlace | None:
        """Return what a job may go together with: frames of other cameras whose bundles have the same network."""
        match item:
            case _Swap():
                return None
            case job, image:
                stages = None if job.picture or isinstance(image, str) else self._stages.get(job.camera)
                group, batch = stages.scorer.goes_with if stages else (None, 1)
                return FramePlace(job.camera, group, batch)

    def _first_of_all(self, items: list[tuple[Job, Image | str] | _Swap]) -> None:
        """Do the first half of what goes together, and hand each on."""
        jobs = [item for item in items if not isinstance(item, _Swap)]
        if len(jobs) <= 1:
            self._hand_on(self._first_of(items[0]))
            return
        from runtime.inference.batches.embed_together import EmbedTogether

        self._together = self._together or EmbedTogether()
        looked = [self._half(job, image, look=True) for job, image in jobs]
        for (job, _), half in zip(jobs, self._together(looked), strict=True):
            self._hand_on((job, half))

    def _hand_on(self, item: tuple[Job, Half | str] | _Swap) -> None:
        """Leave the second half to the other thread, and begin the next first half; with one thread, do it here."""
        if self._overlap:
            self._second.put(item)
        else:
            self._finish(item)

    def _first_of(self, item: tuple[Job, Image | str] | _Swap) -> tuple[Job, Half | str] | _Swap:
        """Do the first half of a job, or put a bundle into service."""
        match item:
            case _Swap() as swap:
                for camera, stages in swap.stages.items():
                    self._stages[camera] = stages.take_over(self._stages.get(camera))
                return swap
            case job, image:
                return job, self._half(job, image)

    def _half(self, job: Job, image: Image | str, *, look: bool = False) -> Half | str:
        """Do the first half of a frame, or only look at it; text says why that cannot be."""
        stages = self._stages.get(job.camera)
        if isinstance(image, str):
            return image
        if stages is None:
            return "no bundle in service"
        if job.picture:
            return attempt(partial(stages.embed_picture, image))
        return attempt(partial(stages.look if look else stages.embed, image, job.t_ns, job.identity))

    def _score(self) -> None:
        while True:
            self._finish(self._second.get())

    def _finish(self, item: tuple[Job, Half | str] | _Swap) -> None:
        """Do the second half and answer; what follows must not delay that: the preview, and the candidate's score."""
        answer, attached = self._second_of(item)
        self._answer(answer, attached)
        if isinstance(item, _Swap) or isinstance(item[1], str):
            return
        job, half = item[0], item[1]
        if half.small is not None:
            self._answer(*self._preview(job, half))
        if job.shadow and isinstance(answer, Done) and answer.result is not None:
            self._answer(self._shadow(job, half.whole))

    def _shadow(self, job: Job, image: Image | None) -> ShadowDone:
        if image is None or self._shadows is None:  # it was not judged
            return ShadowDone(job.number)
        return self._shadows.score(job.number, job.camera, image)

    def _preview(self, job: Job, half: Half) -> tuple[PreviewDone, Sequence[bytes]]:
        made = attempt(partial(half.stages.preview, half, job.threshold))
        if isinstance(made, str):
            return PreviewDone(job.number, problem=made), ()
        sizes = tuple(map(len, made.attached))
        return PreviewDone(job.number, made.boxes, made.parts, sizes, half.preview_s), made.attached

    def _second_of(self, item: tuple[Job, Half | str] | _Swap) -> tuple[FromWorker, Sequence[bytes]]:
        """Do the second half of a job; or report a bundle in service, when no frame of the one before is pending.

        Returns:
            The answer, and what goes with it.
        """
        match item:
            case _Swap() as swap:
                if swap.loaded:
                    give_back()
                return Loaded(swap.number, info=swap.info), ()
            case job, half:
                return self._done(job, half)

    def _done(self, job: Job, half: Half | str) -> tuple[Done, Sequence[bytes]]:
        if isinstance(half, str):
            return Done(job.number, problem=half), ()
        score = half.stages.score_picture if job.picture else half.stages.score
        found = attempt(partial(score, half, job.wanted))
        if isinstance(found, str):
            return Done(job.number, problem=found), ()
        result, attached = found
        return Done(job.number, result, sizes=tuple(map(len, attached))), attached

    def _answer(self, message: FromWorker, attached: Sequence[bytes] = ()) -> None:
        if not attached:
            self._link.send(message)
            return
        parcel = pack(attached)
        try:
            self._link.send(message, [parcel])
        finally:
            os.close(parcel)


def main(inspection: Callable[[Bundle], Inspect] | None = None) -> None:
    """Be the worker of the process that started this one."""
    link = from_parent(sys.argv, ToWorker)
    faulthandler.enable()
    _or_die(Worker(link, inspection).run)


def _or_die(loop: Callable[[], None]) -> None:
    """Run what never ends, and end the process with it."""
    code = 1
    try:
        loop()
    except LinkClosed:
        code = 0
    except BaseException as error:  # noqa: BLE001 - it ends here
        if told := out_of_memory(error):
            print(f"patchedge: inference worker: {told}", file=sys.stderr)
        else:
            traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    main()
