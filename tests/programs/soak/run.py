"""The soak: faults at random, but from a printed seed, against the real runtime, and a table of what came of them.

    python -m tests.programs.soak.run [--minutes M] [--seed N] [--each-once] [--swaps N] [--breaks N] [--only PATTERN]

Exit code 1 if anything was not as it must be.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import re
import secrets
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

from tests.programs.soak import faults, judge, processes, usb
from tests.programs.soak.effects import Effect, Strike
from tests.programs.soak.faults import BESIDE, DEVICE, Fault
from tests.programs.soak.judge import Outcome
from tests.programs.soak.rig import CLIP, CLIP_FRAMES, READY_S, Rig
from tests.programs.soak.table import Row, table

LONG_S = 10.0
"""A fault that takes so long to be noticed is long."""


class Soak:
    """One soak over one rig.

    Attributes:
        outcomes: what came of each kind of fault.
        skipped: why kinds of faults were not injected.
    """

    def __init__(self, rig: Rig, seed: int) -> None:
        self.outcomes: dict[Fault, list[Outcome]] = {}
        self.skipped: dict[Fault, str] = {}
        self._rig = rig
        self._random = random.Random(seed)  # noqa: S311 - for a soak that can be repeated
        self._usage: list[processes.Usage] = []
        self._begin_s = time.monotonic()

    def run(self, chosen: Iterable[Fault]) -> list[str]:
        """Inject faults one after the other, then end the runtime, and say what was wrong beside the faults."""
        rig = self._rig
        rig.start()
        if complaints := self._await_rest(0.0, rig.live):
            return complaints + self._end()
        for fault in chosen:
            camera = {"http": self._random.choice(list(rig.http)), "usb": "usb"}.get(fault.strikes, "")
            rig.watch.forget()
            others = [name for name in rig.live if name != camera]
            if not self._strike(fault, camera, others, rig.live):
                complaints.append(f"ended early, after: {fault.name}")
                break
        return complaints + self._end()

    def run_in_lanes(self, chosen: Sequence[Fault]) -> list[str]:
        """Do what `run` does in less time: all cameras but one are struck side by side, and the device after them."""
        rig = self._rig
        rig.start()
        if complaints := self._await_rest(0.0, rig.live):
            return complaints + self._end()
        witness, *struck = rig.live
        queues: dict[str, SimpleQueue[Fault]] = {kind: SimpleQueue() for kind in ("http", "usb", BESIDE, DEVICE)}
        for fault in sorted(chosen, key=lambda one: one.within_s < LONG_S):  # else one lane ends long after the others
            queues[fault.strikes].put(fault)
        kinds = {name: "http" if name in rig.http else "usb" for name in struck} | {"": BESIDE}
        lanes = [
            threading.Thread(target=self._lane, args=(queues[kind], name, [witness], [name] if name else []))
            for name, kind in kinds.items()
        ]
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
        complaints = self._await_rest(time.monotonic(), rig.live)
        if not complaints:
            rig.watch.forget()
            self._lane(queues[DEVICE], "", rig.live, rig.live)
        if any(not queue.empty() for queue in queues.values()):
            complaints.append("ended early")
        return complaints + self._end()

    def _lane(self, queue: SimpleQueue[Fault], camera: str, others: Sequence[str], resting: Sequence[str]) -> None:
        """Inject one fault after the other, until one is not recovered from; arguments as of `_strike`."""
        with contextlib.suppress(Empty):
            while self._strike(queue.get_nowait(), camera, others, resting):
                pass

    def _strike(self, fault: Fault, camera: str, others: Sequence[str], resting: Sequence[str]) -> bool:
        """Inject one fault, wait until it is noticed, undo it, wait until all is well, and judge.

        Args:
            fault: what to inject.
            camera: which camera it strikes; empty for the whole device.
            others: cameras that must not suffer.
            resting: cameras that must be well again at the end.

        Returns:
            Whether all is well.
        """
        rig, watch = self._rig, self._rig.watch
        begin_s = time.monotonic()
        strike = Strike(rig, camera, begin_s)
        if why := fault.needs(strike):
            self.skipped[fault] = why
            return True
        complaints = _attempt(fault.inject, strike)
        detected_as, detected_s = self._detect(fault, strike)
        watch.pause(fault.hold_s)
        end_s = time.monotonic()
        complaints += _attempt(fault.undo, strike)
        unrest = self._await_rest(end_s, resting)
        recovered_s = None if unrest else time.monotonic() - end_s
        complaints += [f"not recovered: {one}" for one in unrest]
        if fault.must_show and not detected_as:
            complaints.append("not detected")
        complaints += self._judge(fault, strike, others, (begin_s, begin_s + (detected_s or 0.0), end_s))
        complaints += [complaint for complaint in [fault.check(strike)] if complaint]
        if self._clip_is_over() and not rig.restless(end_s, rig.live):
            self._usage.append(processes.usage(rig.runtime.pid, time.monotonic()))
        outcome = Outcome(detected_s, detected_as, recovered_s, complaints)
        self.outcomes.setdefault(fault, []).append(outcome)
        print(
            f"{time.monotonic() - self._begin_s:5.0f} s  ({fault.number}) {fault.name}, {camera or fault.strikes}:"
            f" {detected_as or 'in its stride'}; {'; '.join(complaints) or 'good'}",
            flush=True,
        )
        return not unrest

    def _detect(self, fault: Fault, strike: Strike) -> tuple[str, float | None]:
        """Wait until the fault shows, and say how and when after its beginning; nothing if it has not to."""
        rig, watch = self._rig, self._rig.watch
        struck = [strike.camera] if strike.camera else rig.live
        left_s = strike.begin_s + fault.within_s - time.monotonic()
        if fault.states:
            first = watch.wait(lambda: judge.first(watch.since(strike.begin_s), struck, fault.states), left_s)
            return (first.message.state, first.at_s - strike.begin_s) if first else ("", None)
        if sign := fault.sign:
            said = watch.wait(lambda: sign(strike), left_s)
            return said, (time.monotonic() - strike.begin_s if said else None)
        return "", None

    def _judge(
        self, fault: Fault, strike: Strike, others: Sequence[str], times_s: tuple[float, float, float]
    ) -> list[str]:
        """Hold what was heard against what must be; the times are those of begin, detection and end."""
        rig, seen = self._rig, self._rig.watch.since(strike.begin_s)
        begin_s, detected_at_s, end_s = times_s
        complaints = judge.labelled_normal(seen, strike.camera, detected_at_s, end_s) if fault.never_normal else []
        if fault.all_suffer:
            return complaints
        for name in others:
            http = rig.http.get(name)
            sent = http.sent(begin_s, end_s) if http else int((end_s - begin_s) * usb.FPS)
            complaints += judge.slowed(seen, sent, name, begin_s, end_s)
        in_stride = [strike.camera] if strike.camera and not fault.must_show else []
        return complaints + judge.left_live(seen, [*others, *in_stride])

    def _await_rest(self, since_s: float, cameras: Sequence[str]) -> list[str]:
        """Wait until cameras are as they should be with frames from then on, and say what is not."""
        rig = self._rig
        limit_s = judge.RECOVERY_S if since_s else READY_S
        rig.watch.wait(lambda: not rig.restless(since_s, cameras) or not rig.runtime.is_running(), limit_s)
        return rig.restless(since_s, cameras) if rig.runtime.is_running() else ["the runtime has ended"]

    def _end(self) -> list[str]:
        """End the runtime, and say what was wrong with it as a whole."""
        rig = self._rig
        clip_is_over = self._clip_is_over()
        complaints = rig.leaks()
        self._print_usage()
        complaints += rig.runtime.end() + processes.growth(self._usage)
        heard = rig.watch.frames
        if heard != list(range(1, len(heard) + 1)) or (clip_is_over and len(heard) < CLIP_FRAMES):
            complaints.append(f"of the recording {len(heard)} frames were published, not each of {CLIP_FRAMES} once")
        if rig.watch.missed:
            complaints.append(f"{rig.watch.missed} messages were lost")
        return complaints

    def _clip_is_over(self) -> bool:
        """Return whether the recording was played; what it took is free then."""
        return self._rig.watch.state.get(CLIP) == "disconnected"

    def _print_usage(self) -> None:
        """Print what the runtime uses, and after how much."""
        runtime, used = self._rig.runtime, self._usage
        reconnects, swaps = (runtime.figure(f"patchedge_{name}_total") for name in ("reconnects", "reloads"))
        print(f"{reconnects:.0f} reconnects, {swaps:.0f} bundles read anew; the runtime at rest:")
        for when, samples in (("first", used), ("warmed up", processes.warm(used)), ("last", used[-1:])):
            print(f"    {when}: {samples[0] if samples else None}")
        slope = processes.slope_mb_an_hour(used)
        print("    too short for a slope of the memory" if slope is None else f"    memory by {slope:+.1f} MB an hour")


def _attempt(effect: Effect, strike: Strike) -> list[str]:
    """Do something, and say how it failed."""
    try:
        effect(strike)
    except (OSError, RuntimeError, ValueError) as error:
        return [f"{type(error).__name__}: {error}"]
    return []


def rows(soak: Soak) -> list[Row]:
    """Sum the outcomes up, fault by fault, in the order of the table of faults."""
    found = [Row.of(fault, soak.outcomes[fault]) for fault in faults.FAULTS if fault in soak.outcomes]
    return found + [Row.skipped(fault, why) for fault, why in soak.skipped.items()]


def endlessly(chosen: Sequence[Fault], generator: random.Random, minutes: float) -> Iterator[Fault]:
    """Yield all faults in random order, again and again, until the time is over."""
    end_s = time.monotonic() + minutes * 60
    while True:
        for fault in generator.sample(chosen, len(chosen)):
            if time.monotonic() >= end_s:
                return
            yield fault


def main(argv: Sequence[str] | None = None) -> int:
    """Soak, print the table, and give the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.programs.soak.run", description="Faults against the real runtime."
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="length (10)")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10**6), help="of the order and the cameras struck"
    )
    parser.add_argument("--each-once", action="store_true", help="every fault once, however long that takes")
    parser.add_argument("--swaps", type=int, default=50, help="bundle swaps in one fault of that kind (50)")
    parser.add_argument("--breaks", type=int, default=3, help="broken connections in one fault of that kind (3)")
    parser.add_argument("--only", default="", metavar="PATTERN", help="only faults in whose name this is found")
    args = parser.parse_args(argv)
    print(f"seed {args.seed}", flush=True)
    begin_s = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    rig = Rig(folder, args.seed, swaps=args.swaps, breaks=args.breaks)
    soak = Soak(rig, args.seed)
    try:
        chosen = [fault for fault in faults.FAULTS if re.search(args.only, fault.name)]
        generator = random.Random(args.seed)  # noqa: S311 - for a soak that can be repeated
        if args.each_once:
            complaints = soak.run_in_lanes(generator.sample(chosen, len(chosen)))
        else:
            complaints = soak.run(endlessly(chosen, generator, args.minutes))
    finally:
        rig.close()
    found = rows(soak)
    print(table(found), *complaints, sep="\n")
    print(f"{sum(row.times for row in found)} faults in {time.monotonic() - begin_s:.0f} s, seed {args.seed}")
    bad = bool(complaints) or any(row.bad for row in found)
    if bad:
        print(f"the runtime's log: {rig.log}")
    else:
        shutil.rmtree(folder)
    return int(bad)


if __name__ == "__main__":
    sys.exit(main())
