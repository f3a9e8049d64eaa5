"""The program that counts the scores of a burn-in: a job on its standard input, a proposal on its standard output."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from edge_config.bundle import arrays, files
from edge_config.errors import PatchedgeError
from edge_config.wire.burn_in import Proposal
from runtime.burnin.disk import CountJob
from runtime.burnin.evaluate import Judging, evaluate
from runtime.burnin.kept import SCORES
from runtime.burnin.scores import RECORD_BYTES, read


def main() -> None:
    """Do the job, or say why not in one line."""
    try:
        proposal = count(msgspec.json.decode(sys.stdin.buffer.read(), type=CountJob))
    except (OSError, MemoryError, msgspec.MsgspecError, PatchedgeError) as error:
        sys.stderr.write(f"{error or type(error).__name__}\n")
        sys.exit(1)
    sys.stdout.buffer.write(msgspec.json.encode(proposal))


def count(job: CountJob) -> Proposal:
    """Return what the stored scores say.

    Raises:
        OSError: they cannot be read.
    """
    data = (Path(job.folder) / SCORES).read_bytes()[: job.records * RECORD_BYTES]
    proposal = evaluate(read(data), Judging(job.wanted, job.alerts, job.was, _golden(job)))
    return msgspec.structs.replace(proposal, bundle=job.bundle)


def _golden(job: CountJob) -> tuple[float, ...]:
    """Return the scores of the bundle's golden frames; none if another bundle is at its path by now."""
    try:
        bundle = files.read(job.bundle_path, index=False)
        if bundle.id != job.bundle:
            return ()
        return tuple(arrays.read(bundle.file(files.GOLDEN))["scores"].astype(float).tolist())
    except PatchedgeError:
        return ()
