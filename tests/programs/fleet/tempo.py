"""How fast a run goes: all its times in one place."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.fleet.agent.agent import Pace


@dataclass(frozen=True)
class Tempo:
    """Times of a run, seconds.

    Attributes:
        quiet_s: how long a quiet fleet is measured.
        soak_s: between two stages.
        watch_s: for which a device watches a new bundle.
        alerts_watch_s: the same, where the bundle raises more alerts.
        chaos_soak_s: between two stages while faults happen.
        down_s: how long a server is down at least.
        up_s: how long all are up before the next one is killed.
        cut_s: how long a cable is out.
        stages: of good roll-outs.
        busy_s, idle_s, save_s, report_s: pace of the agents.
        pictures: in the bank of the bundles: their size.
    """

    quiet_s: float = 30.0
    soak_s: float = 2.0
    watch_s: float = 10.0
    alerts_watch_s: float = 20.0
    chaos_soak_s: float = 20.0
    down_s: float = 5.0
    up_s: float = 8.0
    cut_s: float = 60.0
    stages: str = "1,10%,100%"
    busy_s: float = 1.0
    idle_s: float = 5.0
    save_s: float = 10.0
    report_s: float = 20.0
    pictures: int = 60

    @property
    def pace(self) -> Pace:
        """Return the pace of the agents."""
        return Pace(busy_s=self.busy_s, idle_s=self.idle_s, save_s=self.save_s, report_s=self.report_s)


SHORT = Tempo(
    quiet_s=0.2,
    soak_s=0.2,
    watch_s=1.0,
    alerts_watch_s=3.0,
    chaos_soak_s=1.0,
    down_s=2.0,
    up_s=2.5,
    cut_s=5.0,
    stages="1,100%",
    busy_s=0.2,
    idle_s=0.5,
    save_s=2.0,
    report_s=2.0,
    pictures=12,
)

SHORT_S = 60.0
"""A run whose faults last less has the short times."""


def tempo_of(seconds: float) -> Tempo:
    """Return the times of a run whose faults last some seconds."""
    return SHORT if seconds < SHORT_S else Tempo()
