"""The table at the end of a soak."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tests.programs.soak.faults import Fault
from tests.programs.soak.judge import Outcome


@dataclass(frozen=True)
class Row:
    """One kind of fault: how often it was injected, the longest times, and the verdict."""

    fault: Fault
    times: int
    detected: str
    recovered: str
    verdict: str
    bad: bool

    @classmethod
    def of(cls, fault: Fault, outcomes: Sequence[Outcome]) -> Row:
        """Sum outcomes up."""
        complaints = Counter(complaint for outcome in outcomes for complaint in outcome.complaints)
        verdict = "; ".join(f"{times} x {said}" if times > 1 else said for said, times in complaints.items())
        ways = " or ".join(sorted({outcome.detected_as for outcome in outcomes if outcome.detected_as}))
        detected = _longest([outcome.detected_s for outcome in outcomes])
        return cls(
            fault,
            len(outcomes),
            f"{detected} {ways}" if ways else "never" if fault.must_show else "in its stride",
            _longest([outcome.recovered_s for outcome in outcomes]),
            verdict or "good",
            bad=bool(complaints),
        )

    @classmethod
    def skipped(cls, fault: Fault, why: str) -> Row:
        """Tell of a fault that cannot be injected here."""
        return cls(fault, 0, "", "", f"skipped: {why}", bad=False)


def table(rows: Sequence[Row]) -> str:
    """Lay the rows out in columns."""
    lines = [("fault", "times", "detected after", "recovered after", "verdict")]
    lines += [
        (f"({row.fault.number}) {row.fault.name}", str(row.times), row.detected, row.recovered, row.verdict)
        for row in rows
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _longest(times_s: Sequence[float | None]) -> str:
    known = [time_s for time_s in times_s if time_s is not None]
    return f"{max(known):.1f} s" if known else ""
