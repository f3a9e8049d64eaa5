"""Do alerts arrive? Counts what subscribers got against what the journal holds, while everything is killed.

    python -m tests.programs.bench.delivery [--alerts 1000] [--restarts 10] [--instants 200] [--seconds 15] [--seed 1]

1. The real runtime over network cameras before which objects come and go; it is killed with -9 and restarted. A
   subscriber that acknowledges is killed, stopped and restarted at random (storm.py).
2. Ten subscribers of 1,000 messages a second, one of them stopped for a while (crowd.py).
3. A process that writes a journal is killed with -9 at random instants (journal_kill.py).

The last line has the counts; the exit code is 1 if any alert was lost or came twice.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from random import Random

from tests.programs.bench.crowd import crowd
from tests.programs.bench.journal_kill import kill_writer
from tests.programs.bench.storm import storm


def main() -> int:
    """Run the three parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alerts", type=int, default=1000)
    parser.add_argument("--restarts", type=int, default=10, help="of the runtime, each by kill -9")
    parser.add_argument("--instants", type=int, default=200, help="at which a writer of a journal is killed")
    parser.add_argument("--seconds", type=float, default=15.0, help="of each phase of the crowd")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one = storm(folder, args.alerts, args.restarts, Random(args.seed))  # noqa: S311 - no secret
        print(f"storm: {one}", file=sys.stderr, flush=True)
        two = crowd(folder, args.seconds)
        print(f"crowd: {two}", file=sys.stderr, flush=True)
        three = kill_writer(args.instants, args.seed, folder / "kills")
        print(f"journal: {three}", file=sys.stderr, flush=True)
    print(
        f"delivery: {one.alerts} alerts in the journal, {one.missing} missing, {one.doubled} twice, {one.unended} not "
        f"ended (runtime killed {one.restarts} times, subscriber killed {one.killed} and stopped {one.stopped} times); "
        f"{two.subscribers} subscribers: {two.lost} messages lost by the healthy ones, {two.gap} by the one that was "
        f"stopped, of its {two.alerts} alerts {two.missing} missing, {two.doubled} twice; "
        f"journal killed {three.killed} times: {three.lost} lost of {three.published}"
    )
    lost_or_twice = (
        one.missing + one.doubled + one.unended + two.missing + two.doubled + two.lost + three.lost + three.unopened
    )
    return 1 if lost_or_twice else 0


if __name__ == "__main__":
    sys.exit(main())
