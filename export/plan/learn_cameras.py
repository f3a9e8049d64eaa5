"""Learn the cameras of a plan, each sealed and signed or reported with its reason."""

from __future__ import annotations

import hashlib
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec
from nacl.signing import SigningKey

from edge_config.bundle import files as bundles
from edge_config.bundle.staging import remove_abandoned
from edge_config.errors import PatchedgeError
from edge_config.redact import scrub
from export.options import Options
from export.pictures.where import pictures_at
from export.plan.inputs import inputs_of
from export.plan.outcome import CameraOutcome, Sealed, sealed_at
from export.plan.record import PlanRecord, id_at, is_learnt, read_record, refuse_foreign, signer, write_record
from export.plan.settings import CameraPlan, PlannedFit
from export.report.facts import FitReport
from export.report.target import page_beside
from runtime.learning.pictures.source import PictureSource
from runtime.learning.progress import say
from runtime.process.progress import GAUGE
from runtime.security.signing import public_text, read_key, sign, write_signature


class Fit(Protocol):
    """`export.fit.fit`, or the same over a cluster."""

    def __call__(
        self, options: Options, *, source: PictureSource | None, sealed: Callable[[Path], None] | None
    ) -> FitReport:
        """Make a bundle; `sealed` gets its folder before it is put in its place."""


def learn_cameras(plan: CameraPlan, fit: Fit) -> Iterator[CameraOutcome]:
    """Learn one camera after the other, those whose bundle is there not again; one that fails does not stop others."""
    for number, (name, options) in enumerate(plan.cameras.items(), 1):
        begun = time.monotonic()
        with _named(name):
            outcome = _PlannedCamera(name, options, fit).learn()
        say(f"{number} of {len(plan.cameras)}: {_told(outcome, time.monotonic() - begun)}", "plan")
        yield outcome


@contextmanager
def _named(camera: str) -> Iterator[None]:
    """Have all that is said meanwhile name the camera."""
    program, GAUGE.program = GAUGE.program, f"{GAUGE.program}: {camera}"
    try:
        with GAUGE.stage(camera):
            yield
    finally:
        GAUGE.program = program


class _PlannedCamera:
    """One camera of a plan."""

    def __init__(self, name: str, options: PlannedFit, fit: Fit) -> None:
        self._name, self._options, self._fit = name, options, fit
        self._out = Path(options.out)

    def learn(self) -> CameraOutcome:
        """Do it, whatever goes wrong."""
        try:
            return self._learn()
        except PatchedgeError as error:
            return self._failed(str(error), error.exit_code)
        except Exception as error:  # noqa: BLE001 - a fault of ours at one camera; the others go on
            sys.stderr.write(scrub("".join(traceback.format_exception(error))))
            return self._failed(scrub(f"{type(error).__name__}: {error}"), PatchedgeError.exit_code)

    def _learn(self) -> CameraOutcome:
        key = read_key(Path(self._options.sign)) if self._options.sign else None
        remove_abandoned(self._out)
        pictures = pictures_at(self._options.images)
        inputs = inputs_of(self._options, pictures)
        if is_learnt(self._out, inputs):
            return self._kept(key)
        before = id_at(self._out) if self._options.force else refuse_foreign(self._out)
        begun = time.monotonic()

        def seal(folder: Path) -> None:
            manifest = bundles.read_manifest(folder)
            if key is not None:
                write_signature(folder, manifest, key)
            learnt = hashlib.sha256(manifest).hexdigest()
            seconds = round(time.monotonic() - begun, 1)
            write_record(self._out, PlanRecord(inputs=inputs, bundle=learnt, before=before, seconds=seconds))

        fitted = msgspec.structs.replace(self._options, force=True)
        report = self._fit(fitted, source=pictures, sealed=seal)
        sealed = self._sealed(report.bundle_id)
        took = round(time.monotonic() - begun, 1)
        return CameraOutcome(
            camera=self._name,
            out=str(self._out),
            result="learnt",
            seconds=took,
            sealed=sealed,
            warnings=list(report.warnings),
        )

    def _kept(self, key: SigningKey | None) -> CameraOutcome:
        """Keep the bundle that is there, and sign it if the plan now asks for another signature."""
        wanted = public_text(key) if key is not None else ""
        stale = key is not None and signer(self._out) != wanted
        if key is not None and stale:
            sign(self._out, key, force=True)
        record = read_record(self._out)
        return CameraOutcome(
            camera=self._name,
            out=str(self._out),
            result="signed" if stale else "in place",
            seconds=record.seconds if record else 0.0,
            sealed=self._sealed(id_at(self._out)),
        )

    def _sealed(self, bundle_id: str) -> Sealed:
        return sealed_at(self._out, bundle_id, signer(self._out), page_beside(self._out))

    def _failed(self, reason: str, exit_code: int) -> CameraOutcome:
        if read_record(self._out) and self._out.exists():
            reason += "; the bundle of before is still in its place"
        return CameraOutcome(camera=self._name, out=str(self._out), result="failed", reason=reason, exit_code=exit_code)


def _told(outcome: CameraOutcome, seconds: float) -> str:
    if outcome.sealed is None:
        return f"{outcome.camera} failed: {outcome.reason}"
    took = f" in {seconds:.0f} s" if outcome.result == "learnt" else ""
    return f"{outcome.camera} {outcome.result}{took}, id {outcome.sealed.id[:12]}"
