"""What tests ask of a cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Asked:
    """Options that say which cluster is used."""

    cluster: str | None = None
    workers: int | None = None
    threads: int = 2
    mixed: bool = False
    performance_report: str | None = None
