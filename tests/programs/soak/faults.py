"""What goes wrong, as a table: how it is done, what must be seen of it, and how it is undone.

A fault either has to show (`states`: one of them is published for the camera; `sign`: another thing that subscribers or
metrics say), or the runtime has to take it in its stride: then no camera may leave the state `live`. Whatever strikes
one camera, the others stay live, and keep their rate.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from runtime.monitoring.degrade import BAD_S
from runtime.scene.frozen import FROZEN_S, OVERLAY_S
from runtime.scene.inspect import BLURRED_S, DARK_S, MOVED_EVERY_S, MOVED_S
from tests.programs.soak import effects, views
from tests.programs.soak.effects import Strike
from tests.programs.soak.rig import COOL_C, HOT_C

WAY_S = 1.5
"""A state is heard of within this time after the one that is documented: `scene.FRAMES` frames, and their way here."""

SILENCE_S = 3.0
"""A camera that delivers nothing is noticed within this time: `stall_ms` and the start of a process."""

DEVICE: Final = "device"
"""In place of a camera: the whole device is struck."""

BESIDE: Final = "beside"
"""In place of a camera: something beside the device, which no camera may notice."""


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        number: in the list of docs/evidence/soak.md.
        name: in the table.
        strikes: a network camera (one of them), the camera at a device node, the device, or something beside it.
        inject, undo: do it, and put it right.
        states: published for the camera, or any where the device is struck, one of them; with none and no `sign` the
            camera stays live.
        sign: says what else shows that it was noticed; empty until then.
        within_s: from the injection to its being noticed, at most.
        hold_s: how long it lasts from then on.
        all_suffer: the rate and the states of the other cameras are not judged.
        never_normal: from its being noticed on no frame is labelled normal.
        check: looks at the end for what else must hold, and says what does not.
        needs: says why it cannot be injected here; empty if it can.
    """

    number: int
    name: str
    strikes: Literal["http", "usb", "device", "beside"]
    inject: Callable[[Strike], Any]
    undo: Callable[[Strike], Any] = effects.nothing
    states: tuple[str, ...] = ()
    sign: Callable[[Strike], str] | None = None
    within_s: float = SILENCE_S
    hold_s: float = 1.0
    all_suffer: bool = False
    never_normal: bool = False
    check: Callable[[Strike], str] = effects.no_complaint
    needs: Callable[[Strike], str] = effects.no_complaint

    @property
    def must_show(self) -> bool:
        """Whether it has to be noticed."""
        return bool(self.states or self.sign)


def _view(view: views.View, name: str, *states: str, found_s: float = 0.0) -> Fault:
    """Make a fault of what the camera sees, which is found after a documented time."""
    number = 4 if "frozen" in states else 5
    return Fault(
        number,
        name,
        "http",
        effects.set_camera(view=view),
        effects.reset_camera,
        states,
        within_s=found_s + WAY_S,
        never_normal=bool(states),
    )


def _worker_fault(name: str, number: signal.Signals) -> Fault:
    """Make a fault of the inference worker: nothing is scored, and all cameras say so."""
    sign = effects.all_published("stalled")
    return Fault(12, name, DEVICE, effects.signal_worker(number), sign=sign, all_suffer=True)


GONE = ("stalled", "disconnected")

FAULTS = (
    Fault(1, "read() never returns", "usb", effects.usb("hang in read"), effects.usb("pictures"), ("stalled",)),
    Fault(2, "open hangs", "usb", effects.usb("hang in open"), effects.usb("pictures"), GONE),
    Fault(2, "open hangs, network", "http", effects.silent_server, effects.reset_camera, GONE),
    Fault(2, "camera absent", "usb", effects.unplug, effects.plug, ("disconnected",)),
    Fault(2, "camera absent, network", "http", effects.vanish, effects.appear, GONE),
    Fault(3, "replugged under another name", "usb", effects.unplug, effects.plug_elsewhere, ("disconnected",)),
    _view(views.frozen, "frozen picture", "frozen", found_s=FROZEN_S),
    _view(views.frozen_but_for_its_clock, "frozen, clock burnt in", "frozen", found_s=OVERLAY_S),
    _view(views.black, "black", "dark", found_s=DARK_S),
    _view(views.blinding, "exposure step, blinding", "dark", "blurred", found_s=BLURRED_S),
    _view(views.brighter, "exposure step, a quarter"),
    _view(views.defocused, "defocused", "blurred", found_s=BLURRED_S),
    _view(views.covered, "covered", "blurred", found_s=BLURRED_S),
    _view(views.shifted, "view shifted", "moved", found_s=MOVED_S + 2 * MOVED_EVERY_S),
    Fault(6, "resolution changes", "http", effects.change_size, states=GONE),
    Fault(6, "format changes in the stream", "http", effects.set_camera(grey=True), effects.reset_camera, hold_s=2),
    Fault(6, "rate changes", "http", effects.set_camera(fps=25.0), effects.reset_camera, hold_s=2),
    Fault(
        6,
        "damaged pictures",
        "http",
        effects.set_camera(sending="damaged"),
        effects.reset_camera,
        GONE,
        never_normal=True,
    ),
    Fault(6, "rubbish for pictures", "http", effects.set_camera(sending="rubbish"), effects.reset_camera, GONE),
    Fault(
        7,
        "clock an hour forward",
        DEVICE,
        effects.jump(3600),
        effects.jump(0),
        sign=effects.clock_is_off(3600),
        needs=effects.no_compiler,
    ),
    Fault(
        7,
        "clock an hour back",
        DEVICE,
        effects.jump(-3600),
        effects.jump(0),
        sign=effects.clock_is_off(-3600),
        needs=effects.no_compiler,
    ),
    Fault(8, "subscriber stops", BESIDE, effects.stop_subscriber, effects.continue_subscriber, check=effects.goes_on),
    Fault(8, "subscriber killed", BESIDE, effects.kill_subscriber),
    Fault(8, "subscriber late", BESIDE, effects.nothing, check=effects.late_subscriber_hears),
    Fault(9, "half-open connection", "http", effects.set_camera(sending="nothing"), effects.reset_camera, GONE),
    Fault(9, "jitter", "http", effects.set_camera(sending="jittering"), effects.reset_camera, hold_s=3),
    Fault(9, "connection breaks", "http", effects.break_connection, states=GONE),
    Fault(9, "network breaks down", DEVICE, effects.break_network, states=GONE, all_suffer=True),
    Fault(10, "log disk full", BESIDE, effects.run_beside("/dev/full", "w"), check=effects.ended_well),
    Fault(10, "log read-only", BESIDE, effects.run_beside("/dev/null", "r"), check=effects.ended_well),
    Fault(11, "bundle truncated", DEVICE, effects.put("truncated"), effects.put_good, sign=effects.refused),
    Fault(11, "bundle bit-flipped", DEVICE, effects.put("flipped"), effects.put_good, sign=effects.refused),
    Fault(11, "bundle of mixed dimensions", DEVICE, effects.put("mixed"), effects.put_good, sign=effects.refused),
    Fault(
        11, "bundle of other dimension", DEVICE, effects.put("other_dimension"), effects.put_good, sign=effects.taken
    ),
    Fault(11, "bundle swapped and swapped", DEVICE, effects.swap),
    Fault(
        12,
        "CPU cut to a quarter",
        DEVICE,
        effects.throttle,
        effects.unthrottle,
        sign=effects.is_degraded,
        within_s=15,
        all_suffer=True,
    ),
    Fault(
        12,
        "memory limit on worker",
        DEVICE,
        effects.limit_memory,
        effects.unlimit_memory,
        states=("stalled",),
        within_s=2 * SILENCE_S,  # it has to come back first
        all_suffer=True,
    ),
    _worker_fault("worker hangs", signal.SIGSTOP),
    _worker_fault("worker killed", signal.SIGKILL),
    _worker_fault("worker segfaults", signal.SIGSEGV),
    Fault(12, "capture killed", DEVICE, effects.kill_capture, states=GONE, all_suffer=True),
    Fault(
        12,
        "thermal zone at 95 degrees",
        DEVICE,
        effects.heat(HOT_C),
        effects.heat(COOL_C),
        sign=effects.is_degraded,
        within_s=BAD_S + SILENCE_S,
        all_suffer=True,
    ),
    Fault(12, "runtime killed", BESIDE, effects.run_beside("/dev/null", "w", signal.SIGKILL), check=effects.ended_well),
    Fault(12, "SIGTERM while cameras hang", BESIDE, effects.run_hanging, check=effects.ended_well),
)
