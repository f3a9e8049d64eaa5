"""The thread that writes burn-ins: a disk that fails for a while loses nothing, and a program counts."""

from __future__ import annotations

from pathlib import Path
from queue import SimpleQueue

import numpy as np
import pytest

from edge_config.settings.sections import Alerts
from runtime.burnin import kept as keeping
from runtime.burnin.disk import BurnInCounted, BurnInEvent, BurnInStored, CountJob, FolderDisk
from runtime.burnin.kept import BurnInKept, BurnInRun
from runtime.burnin.scores import RECORD_BYTES, frame, read, segment
from runtime.frame import BundleInfo

ENOUGH_S = 60.0

ANY = BundleInfo("a" * 64, "/no/bundle/here", 40.0, 0.01)


def kept(records: int) -> BurnInKept:
    run = BurnInRun(bundle=ANY.id, duration_s=3600.0, wanted=1.0, silent=True, apply=True, records=records)
    return BurnInKept(running=run)


def test_a_disk_that_fails_for_a_while_loses_nothing(tmp_path: Path) -> None:
    """What could not be written is written with what follows, and the problem is told once for each try."""
    told: SimpleQueue[BurnInEvent] = SimpleQueue()
    disk = FolderDisk(tmp_path / "learning", told.put)
    (tmp_path / "learning").write_text("a file where the folder should be")
    first, second, third = segment(7) + frame(0, 1), frame(1, 2), frame(1, 3)
    disk.store("top", kept(3), 0, first)
    disk.store("top", kept(4), 3, second)
    for _ in range(2):
        event = told.get(timeout=ENOUGH_S)
        assert isinstance(event, BurnInStored)
        assert "learning" in event.problem
    (tmp_path / "learning").unlink()
    disk.store("top", kept(5), 4, third)
    assert told.get(timeout=ENOUGH_S) == BurnInStored("top", 5)
    (found,) = read((tmp_path / "learning" / "top" / keeping.SCORES).read_bytes())
    assert found.scores.tolist() == [1.0, 2.0, 3.0]
    assert keeping.load(tmp_path / "learning" / "top") == (kept(5), "")
    disk.clear("top")
    disk.close()
    assert not (tmp_path / "learning" / "top" / keeping.SCORES).exists()


@pytest.mark.slow
def test_a_program_counts(tmp_path: Path) -> None:
    """The records that a job names are counted, no more; without scores the reason comes in place of a proposal."""
    told: SimpleQueue[BurnInEvent] = SimpleQueue()
    disk = FolderDisk(tmp_path, told.put)
    values = np.random.default_rng(1).gamma(20, 1, 1800)
    data = segment(0) + frame(0, 1.0) + b"".join(frame(1, float(value)) for value in values) + frame(1, 1e6)
    keeping.append(tmp_path / "top", 0, data)
    records = len(data) // RECORD_BYTES - 1
    disk.count("top", CountJob.of(str(tmp_path / "top"), records, ANY, 300.0, Alerts(min_ms=150)))
    event = told.get(timeout=ENOUGH_S)
    assert isinstance(event, BurnInCounted)
    assert event.proposal is not None, event.problem
    assert (event.proposal.bundle, event.proposal.frames, event.proposal.basis) == (ANY.id, 1801, "counted")
    assert event.proposal.threshold is not None
    assert np.median(values) < event.proposal.threshold <= values.max()
    assert event.proposal.asides == 0
    disk.count("side", CountJob.of(str(tmp_path / "side"), 5, ANY, 300.0, Alerts(min_ms=150)))
    event = told.get(timeout=ENOUGH_S)
    assert isinstance(event, BurnInCounted)
    assert event.proposal is None
    assert "not counted" in event.problem
    assert "No such file" in event.problem
    disk.close()
