"""Keeping a process to some cores."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import os, threading
from runtime.process.affinity import keep_to
first, *_ = sorted(os.sched_getaffinity(0))
go, told = threading.Event(), []
def look():
    go.wait()
    told.append(os.sched_getaffinity(0))
before = threading.Thread(target=look); before.start()
assert keep_to(()) and len(os.sched_getaffinity(0)) >= 1
assert not keep_to([4000])
assert keep_to([first, 4000])
go.set(); before.join()
after = threading.Thread(target=look); after.start(); after.join()
print(told == [{first}, {first}])
"""


def test_threads_before_and_after_keep_to_the_cores() -> None:
    """All threads obey, those that run already too; cores that are not there are left out, and none at all is told."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "True\n", done.stderr
