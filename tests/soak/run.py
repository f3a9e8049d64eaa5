"""The soak: faults at random, but from a printed seed, against the real runtime, and a table of what came of them.

    python -m tests.soak.run [--minutes M] [--seed N] [--each-once] [--swaps N] [--breaks N] [--only WORDS]

Exit code 1 if anything was not as it must be.
"""

from __future__ import annotations

import argparse
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.soak import faults, judge, processes, usb
from tests.soak.effects import Strike
from tests.soak.faults import Fault
from tests.soak.judge import Outcome
from tests.soak.rig import CLIP, CLIP_FRAMES, READY_S, Rig
from tests.soak.table import Row, table


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

    def run(self, chosen: Iterable[Fault]) -> list[str]:
        """Inject faults one after the other, then end the runtime, and say what was wrong beside the faults."""
        rig = self._rig
        rig.start()
        complaints = self._await_rest(0.0)
        for fault in () if complaints else chosen:
            if why := fault.needs(Strike(rig, "", 0.0)):
                self.skipped[fault] = why
                continue
            outcome = self._strike(fault)
            self.outcomes.setdefault(fault, []).append(outcome)
            self._tell(fault, outcome)
            if outcome.recovered_s is None or not rig.runtime.is_running():
                complaints.append(f"ended early, after: {fault.name}")
                break
        return complaints + self._end()

    def _strike(self, fault: Fault) -> Outcome:
        """Inject one fault, wait until it is noticed, undo it, wait until all is well, and judge."""
        rig, watch = self._rig, self._rig.watch
        watch.forget()
        camera = self._random.choice(list(rig.http)) if fault.strikes == "http" else fault.strikes
        begin_s = time.monotonic()
        strike = Strike(rig, camera, begin_s)
        complaints = []
        try:
            fault.inject(strike)
        except (OSError, RuntimeError, ValueError) as error:
            complaints.append(f"{type(error).__name__}: {error}")
        detected_as, detected_s = self._detect(fault, strike)
        watch.pause(fault.hold_s)
        end_s = time.monotonic()
        fault.undo(strike)
        unrest = self._await_rest(end_s)
        recovered_s = None if unrest else time.monotonic() - end_s
        complaints += [f"not recovered: {one}" for one in unrest]
        if (fault.states or fault.sign) and not detected_as:
            complaints.append("not detected")
        complaints += self._judge(fault, strike, begin_s + (detected_s or 0.0), end_s)
        complaints += [complaint for complaint in [fault.check(strike)] if complaint]
        self._usage.append(processes.usage(rig.runtime.pid, time.monotonic()))
        return Outcome(detected_s, detected_as, recovered_s, complaints)

    def _detect(self, fault: Fault, strike: Strike) -> tuple[str, float | None]:
        """Wait until the fault shows, and say how and when after its beginning; nothing if it has not to."""
        watch = self._rig.watch
        left_s = strike.begin_s + fault.within_s - time.monotonic()
        if fault.states:
            watch.wait(lambda: judge.shown(watch.since(strike.begin_s, strike.camera), fault.states), left_s)
            seen = watch.since(strike.begin_s, strike.camera)
            first = next((one for one in seen if one.message.state in fault.states), None)
            return (first.message.state, first.at_s - strike.begin_s) if first else ("", None)
        if sign := fault.sign:
            said = watch.wait(lambda: sign(strike), left_s)
            return said, (time.monotonic() - strike.begin_s if said else None)
        return "", None

    def _judge(self, fault: Fault, strike: Strike, detected_at_s: float, end_s: float) -> list[str]:
        rig, seen = self._rig, self._rig.watch.since(strike.begin_s)
        complaints = []
        if fault.never_normal:
            complaints += judge.labelled_normal(seen, strike.camera, detected_at_s, end_s)
        steady = [] if fault.all_suffer else [name for name in rig.live if name != strike.camera]
        for name in steady:
            begin_s = strike.begin_s
            http = rig.http.get(name)
            sent = http.sent(begin_s, end_s) if http else int((end_s - begin_s) * usb.FPS)
            complaints += judge.slowed(seen, sent, name, begin_s, end_s)
        if not (fault.states or fault.sign or fault.all_suffer) and strike.camera:
            steady.append(strike.camera)
        return complaints + judge.left_live(seen, steady)

    def _await_rest(self, since_s: float) -> list[str]:
        """Wait until the device is as it should be with frames from then on, and say what is not."""
        rig = self._rig
        limit_s = judge.RECOVERY_S if since_s else READY_S
        rig.watch.wait(lambda: not rig.restless(since_s) or not rig.runtime.is_running(), limit_s)
        return rig.restless(since_s) if rig.runtime.is_running() else ["the runtime has ended"]

    def _end(self) -> list[str]:
        """End the runtime, and say what was wrong with it as a whole."""
        rig = self._rig
        complaints = rig.leaks() + rig.runtime.end()
        complaints += processes.growth(self._usage)
        slope = processes.slope_mb_an_hour(self._usage)
        last = self._usage[-1] if self._usage else None
        print(f"at the last rest: {last}; memory by {slope:+.0f} MB an hour", flush=True)
        heard = rig.watch.frames
        if heard != list(range(1, len(heard) + 1)) or (
            rig.watch.state.get(CLIP) != "live" and len(heard) < CLIP_FRAMES
        ):
            complaints.append(f"of the recording {len(heard)} frames were published, not each of {CLIP_FRAMES} once")
        if rig.watch.missed:
            complaints.append(f"{rig.watch.missed} messages were lost")
        return complaints

    def _tell(self, fault: Fault, outcome: Outcome) -> None:
        said = "; ".join(outcome.complaints) or "good"
        print(f"({fault.number}) {fault.name}: {outcome.detected_as or 'in its stride'}; {said}", flush=True)


def rows(soak: Soak) -> list[Row]:
    """Sum the outcomes up, fault by fault, in the order of the table of faults."""
    found = [Row.of(fault, soak.outcomes[fault]) for fault in faults.FAULTS if fault in soak.outcomes]
    return found + [Row.skipped(fault, why) for fault, why in soak.skipped.items()]


def endlessly(seed: int, minutes: float) -> Iterator[Fault]:
    """Give all faults in random order, again and again, until the time is over."""
    end_s = time.monotonic() + minutes * 60
    for turn in range(sys.maxsize):
        for fault in faults.order(seed + turn):
            if time.monotonic() >= end_s:
                return
            yield fault


def main(argv: Sequence[str] | None = None) -> int:
    """Soak, print the table, and give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak.run", description="Faults against the real runtime.")
    parser.add_argument("--minutes", type=float, default=10.0, help="length (10)")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10**6), help="of the order and the cameras struck"
    )
    parser.add_argument("--each-once", action="store_true", help="every fault once, however long that takes")
    parser.add_argument("--swaps", type=int, default=5, help="bundle swaps in one fault of that kind (5)")
    parser.add_argument("--breaks", type=int, default=3, help="broken connections in one fault of that kind (3)")
    parser.add_argument("--only", default="", metavar="WORDS", help="only faults whose name holds this")
    args = parser.parse_args(argv)
    print(f"seed {args.seed}", flush=True)
    begin_s = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    rig = Rig(folder, args.seed, swaps=args.swaps, breaks=args.breaks)
    soak = Soak(rig, args.seed)
    chosen = faults.order(args.seed) if args.each_once else endlessly(args.seed, args.minutes)
    try:
        complaints = soak.run(fault for fault in chosen if args.only in fault.name)
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
