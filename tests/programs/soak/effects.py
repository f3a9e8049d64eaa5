"""How the faults are done, undone, and seen: small functions of a `Strike`, for the table of `faults`."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_config.wire.messages import StateMessage
from runtime.client.subscriber import Subscriber
from tests.programs.soak import processes
from tests.programs.soak.cameras import FPS, HttpCamera
from tests.programs.soak.rig import READY_S, Rig, Runtime
from tests.programs.soak.throttle import Throttle
from tests.programs.soak.usb import Doing
from tests.programs.soak.views import HEIGHT, WIDTH, normal
from tests.support.processes import DEVICE

PATIENCE_S = 20.0
"""For what comes in a moment; more means that it does not come."""

HOUR_NOISE_S = 60.0
POLLED = 4
"""Of so many bundles that are put into service the runtime has to find one by itself."""
LOADED_FPS = 60.0
SIZES = ((WIDTH, HEIGHT), (WIDTH * 2, HEIGHT * 2))
LARGE = (WIDTH * 4, HEIGHT * 4)

Effect = Callable[["Strike"], Any]
Sign = Callable[["Strike"], str]


@dataclass
class Strike:
    """One injection of a fault.

    Attributes:
        rig: what it is done to.
        camera: name of the camera that it strikes; empty for the whole device.
        begin_s: when, monotonic seconds.
        kept: what the injection leaves for undoing and checking.
    """

    rig: Rig
    camera: str
    begin_s: float
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def http(self) -> HttpCamera:
        """The network camera that is struck."""
        return self.rig.http[self.camera]


def nothing(_strike: Strike) -> None:
    """Do nothing."""


def no_complaint(_strike: Strike) -> str:
    """Find nothing wrong."""
    return ""


# Cameras


def set_camera(**switches: Any) -> Effect:
    """Throw switches of the network camera."""

    def effect(strike: Strike) -> None:
        for name, value in switches.items():
            setattr(strike.http, name, value)

    return effect


def reset_camera(strike: Strike) -> None:
    """Put the switches of the network camera back."""
    set_camera(view=normal, fps=FPS, grey=False, sending="pictures", answering=True)(strike)


def silent_server(strike: Strike) -> None:
    """Break the connection, and accept the next without a word."""
    strike.http.answering = False
    strike.http.hang_up()


def change_size(strike: Strike) -> None:
    """Let the camera come back with another resolution, as after a change of its settings."""
    strike.http.size = SIZES[strike.http.size == SIZES[0]]
    _hang_up(strike.rig, [strike.camera])


def break_connection(strike: Strike) -> None:
    """Break the connection again and again, whenever the camera is live."""
    _break([strike.camera], strike)


def break_network(strike: Strike) -> None:
    """Break the connections of all network cameras again and again, whenever all are live."""
    _break(list(strike.rig.http), strike)


def _break(cameras: Sequence[str], strike: Strike) -> None:
    for _ in range(strike.rig.breaks):
        if not _hang_up(strike.rig, cameras):
            return  # and is found not to be live by who asks


def _hang_up(rig: Rig, cameras: Sequence[str]) -> bool:
    """Break the connections of cameras, and tell whether they came back."""
    broken_s = time.monotonic()
    for camera in cameras:
        rig.http[camera].hang_up()
    return rig.watch.wait(lambda: all(_came_back(rig, one, broken_s) for one in cameras), PATIENCE_S)


def _came_back(rig: Rig, camera: str, since_s: float) -> bool:
    """Return whether a camera was gone since then, and is live."""
    states = [seen.message.state for seen in rig.watch.since(since_s, camera)]
    return any(state != "live" for state in states) and states[-1] == "live"


def vanish(strike: Strike) -> None:
    """Take the network camera away."""
    strike.http.vanish()


def appear(strike: Strike) -> None:
    """Bring the network camera back."""
    strike.http.appear()


def usb(doing: Doing) -> Effect:
    """Have the driver of the camera at the device node do this."""
    return lambda strike: strike.rig.usb.do(doing)


def unplug(strike: Strike) -> None:
    """Unplug the camera at the device node."""
    strike.rig.usb.unplug()


def plug(strike: Strike) -> None:
    """Plug it in where it was."""
    strike.rig.usb.plug()


def plug_elsewhere(strike: Strike) -> None:
    """Plug it in, so that it gets another name."""
    strike.rig.usb.plug(elsewhere=True)


# The clock


def jump(offset_s: int) -> Effect:
    """Set the wall clock of the runtime."""
    return lambda strike: strike.rig.clock.jump_to(offset_s)


def no_compiler(strike: Strike) -> str:
    """Say why the clock cannot jump here."""
    return strike.rig.clock.why_not


def clock_is_off(offset_s: int) -> Sign:
    """Say by how much the stamps of messages jumped; a proof that the clock did."""

    def sign(strike: Strike) -> str:
        seen = strike.rig.watch.since(strike.begin_s)
        jumps = [one.message.t_publish_ns / 1e9 - time.time() for one in seen]
        return f"stamps {offset_s:+d} s" if any(abs(jump - offset_s) < HOUR_NOISE_S for jump in jumps) else ""

    return sign


# Subscribers


def _start_subscriber(strike: Strike) -> subprocess.Popen[bytes]:
    """Start `patchedge watch`, and wait until it prints."""
    command = [*DEVICE, "watch", strike.rig.runtime.events, "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def _end_subscriber(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def stop_subscriber(strike: Strike) -> None:
    """Stop a subscriber, so that what is sent to it piles up."""
    strike.kept["subscriber"] = _start_subscriber(strike)
    strike.kept["subscriber"].send_signal(signal.SIGSTOP)


def continue_subscriber(strike: Strike) -> None:
    """Let it go on."""
    strike.kept["subscriber"].send_signal(signal.SIGCONT)


def goes_on(strike: Strike) -> str:
    """Complain unless the subscriber that was stopped hears again what is published now."""
    process = strike.kept["subscriber"]
    now_ns = time.time_ns()
    end_s = time.monotonic() + PATIENCE_S
    heard = 0
    while heard < now_ns and time.monotonic() < end_s:
        line = process.stdout.readline()
        heard = int(line.partition(b'"t_publish_ns":')[2].partition(b",")[0] or 0)
    _end_subscriber(process)
    return "" if heard >= now_ns else "it hears nothing any more"


def kill_subscriber(strike: Strike) -> None:
    """Kill a subscriber while it is being sent to."""
    _end_subscriber(_start_subscriber(strike))


def late_subscriber_hears(strike: Strike) -> str:
    """Complain unless a new subscriber soon hears of every camera."""
    missing = set(strike.rig.live)
    with Subscriber(strike.rig.runtime.events, kinds=["score"]) as subscriber:
        end_s = time.monotonic() + PATIENCE_S
        while missing and time.monotonic() < end_s:
            if (received := subscriber.receive(1)) is not None:
                missing.discard(received.message.camera)
    return f"nothing heard of {', '.join(sorted(missing))}" if missing else ""


# Another runtime beside the first


def run_beside(log: str, mode: str, number: signal.Signals = signal.SIGTERM) -> Effect:
    """Run another runtime, with its log to a file that takes none, until it scores; end it by a signal."""

    def effect(strike: Strike) -> None:
        with open(log, mode) as stream:  # noqa: PTH123 - the mode is the point
            runtime = strike.rig.start_beside("beside", stream)
            strike.kept["wrong"] = _await_score(runtime) + runtime.end(number)

    return effect


def run_hanging(strike: Strike) -> None:
    """Run another runtime whose only camera hangs, and end it."""
    camera = strike.rig.spare
    camera.answering = False
    runtime = strike.rig.start_beside("hanging", subprocess.DEVNULL)
    with Subscriber(runtime.events, kinds=["state"]) as subscriber:
        heard = subscriber.receive(READY_S)
    strike.kept["wrong"] = [*([] if heard else ["no state heard"]), *runtime.end()]
    camera.answering = True


def _await_score(runtime: Runtime) -> list[str]:
    with Subscriber(runtime.events, kinds=["score"]) as subscriber:
        return [] if subscriber.receive(READY_S) else [f"no score within {READY_S:g} s"]


def ended_well(strike: Strike) -> str:
    """Say what was wrong with the runtime beside."""
    return "; ".join(strike.kept["wrong"])


# Bundles


def put(what: str) -> Effect:
    """Put a bundle into service by renaming it over the one there, mostly with a SIGHUP, as that is faster."""

    def effect(strike: Strike) -> None:
        strike.kept["refused"] = _refused(strike)
        strike.kept["before"] = {name: seen.message.bundle for name, seen in strike.rig.watch.last.items()}
        strike.kept["id"] = getattr(strike.rig.site, f"put_{what}")()
        if strike.rig.site.puts % POLLED:
            strike.rig.runtime.send(signal.SIGHUP)

    return effect


def put_good(strike: Strike) -> None:
    """Put a good bundle into service, and wait until it is.

    Raises:
        TimeoutError: it is not.
    """
    put("good")(strike)
    if not strike.rig.watch.wait(lambda: taken(strike), PATIENCE_S):
        raise TimeoutError("the new bundle is not in service")


def refused(strike: Strike) -> str:
    """Say that the bundle was refused, while the old one goes on."""
    if _refused(strike) <= strike.kept["refused"]:
        return ""
    live, before = strike.rig.live, strike.kept["before"]
    same = all(strike.rig.watch.last[name].message.bundle == before[name] for name in live)
    return "refused" if same else ""


def _refused(strike: Strike) -> float:
    return strike.rig.runtime.figure("patchedge_reloads_total", 'result="refused"')


def taken(strike: Strike) -> str:
    """Say that all cameras are scored with the new bundle."""
    last = strike.rig.watch.last
    return "in service" if all(last[name].message.bundle == strike.kept["id"] for name in strike.rig.live) else ""


def swap(strike: Strike) -> None:
    """Swap good bundles under load, each after the one before is in service."""
    for _ in range(strike.rig.swaps):
        put_good(strike)


# Processes and the machine


def signal_worker(number: signal.Signals) -> Effect:
    """Send a signal to the inference worker."""

    def effect(strike: Strike) -> None:
        for pid in strike.rig.runtime.children("runtime.inference.worker"):
            strike.kept["worker"] = pid
            os.kill(pid, number)

    return effect


def kill_capture(strike: Strike) -> None:
    """Kill the capture process of one camera."""
    os.kill(max(strike.rig.runtime.children("tests.programs.soak.grab")), signal.SIGKILL)


def limit_memory(strike: Strike) -> None:
    """Allow the worker no more memory than it has, and have a camera come back with larger pictures."""
    (worker,) = strike.rig.runtime.children("runtime.inference.worker")
    strike.kept["worker"] = worker
    _limit(worker, processes.address_space(worker))
    strike.rig.http["yard"].size = LARGE
    _hang_up(strike.rig, ["yard"])


def unlimit_memory(strike: Strike) -> None:
    """Lift the limit, if the worker has survived it."""
    with contextlib.suppress(ProcessLookupError):
        _limit(strike.kept["worker"], resource.RLIM_INFINITY)
    now_s = time.monotonic()
    if not strike.rig.watch.wait(lambda: not strike.rig.restless(now_s, ["yard"]), PATIENCE_S):
        return  # and is found not to be scored by who asks
    strike.rig.http["yard"].size = SIZES[0]
    _hang_up(strike.rig, ["yard"])


def _limit(pid: int, size: int) -> None:
    resource.prlimit(pid, resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))


def all_published(state: str) -> Sign:
    """Say that this state was published for all cameras."""

    def sign(strike: Strike) -> str:
        seen = strike.rig.watch.since(strike.begin_s)
        saying = {one.camera for one in seen if isinstance(one.message, StateMessage) and one.message.state == state}
        return state if saying.issuperset(strike.rig.live) else ""

    return sign


def is_degraded(strike: Strike) -> str:
    """Say the level of degradation."""
    levels = [seen.message.degraded for seen in strike.rig.watch.since(strike.begin_s)]
    return f"degraded {max(levels)}" if any(levels) else ""


def throttle(strike: Strike) -> None:
    """Leave all processes of the runtime a quarter of the time, with more frames than it has time for."""
    for camera in strike.rig.http.values():
        camera.fps = LOADED_FPS
    strike.kept["throttle"] = Throttle(strike.rig.runtime.pid)


def unthrottle(strike: Strike) -> None:
    """Let them run."""
    strike.kept["throttle"].end()
    for camera in strike.rig.http.values():
        camera.fps = FPS


def heat(degrees: int) -> Effect:
    """Set the temperature of the thermal zone."""
    return lambda strike: strike.rig.heat(degrees)
