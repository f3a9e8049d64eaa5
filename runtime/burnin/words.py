"""What is said of burn-ins: in the log, in state messages and on the command line."""

from __future__ import annotations

import msgspec

from edge_config.bundle.promise import CONFIDENCE
from edge_config.duration import in_words
from edge_config.settings.sections import Alerts
from edge_config.wire.burn_in import Applied, BurnInStatus, Proposal
from runtime.burnin.kept import BurnInRun, effective
from runtime.frame import BundleInfo

_SMALL = 10

COUNTED = ("hysteresis", "min_frames", "min_ms", "merge_ms", "cooldown_ms")
"""Alert settings that the number of alerts depends on, beside the threshold."""

UNPLANNED = "burn-in ended: the settings ask for none any more, and alerts are raised by the threshold of the bundle"


def begins(duration_s: float, wanted: float, *, silent: bool = False) -> str:
    """Say that one begins."""
    how = "no alert is raised until then" if silent else "alerts go on by the threshold in service"
    return f"burn-in begins: {in_words(duration_s)} are watched for {number(wanted)} false alerts a day; {how}"


def begins_again(run: BurnInRun, bundle: BundleInfo) -> str:
    """Say that one begins again."""
    return f"burn-in begins again: scores are of bundle {bundle.id[:12]} now, and were of {run.bundle[:12]}"


def no_folder(why: str) -> str:
    """Say that none begins, as it could not be kept over a restart."""
    return f"no burn-in, alerts are raised by the threshold of the bundle: there is no folder for its scores ({why})"


def not_stored(problem: str) -> str:
    """Say that a silent one is silent no more."""
    return f"burn-in goes on in the shadow, and alerts are raised: it cannot be kept over a restart ({problem})"


def other_settings(applied_: Applied | None, alerts: Alerts, bundle: BundleInfo) -> str:
    """Say that the alerts of a burn-in were counted with other alert settings; empty: they were not."""
    if applied_ is None:
        return ""
    now = {**msgspec.to_builtins(effective(alerts, bundle)), "threshold": None}
    then = applied_.proposal.alert_settings
    keys = [key for key in COUNTED if key in then and now.get(key) != then[key]]
    return f"alerts were counted with other settings than now ({', '.join(keys)}): run a burn-in again" if keys else ""


def stopped(running: BurnInRun) -> str:
    """Say that one is stopped."""
    return f"burn-in stopped after {in_words(running.watched_s)}: alerts are raised by the threshold in service"


def applied(proposal: Proposal, threshold: float) -> str:
    """Say which threshold is in service now, and by what evidence."""
    return f"burn-in over: threshold {threshold:.4g}, was {proposal.was:.4g}; {evidence(proposal)}"


def waits(proposal: Proposal | None, problem: str, camera: str) -> str:
    """Say that the threshold stays, and why."""
    if proposal is None:
        return f"burn-in over, the threshold stays: {problem}"
    if proposal.threshold is None or proposal.problems:
        return f"burn-in over, the threshold stays: {'; '.join(proposal.problems)}"
    said = f"threshold {proposal.threshold:.4g} in place of {proposal.was:.4g}; {evidence(proposal)}"
    return f"burn-in over, a proposal waits (patchedge burn-in {camera} --apply): {said}"


def other_bundle(before: Applied, bundle: BundleInfo) -> str:
    """Say that a threshold of a burn-in does not hold for the bundle in service."""
    theirs = f"threshold {before.threshold:.4g} of the burn-in is for bundle {before.proposal.bundle[:12]}"
    return f"{theirs}; bundle {bundle.id[:12]} decides by its own, {bundle.threshold:.4g}, until a burn-in with it"


def evidence(proposal: Proposal) -> str:
    """Say what a threshold is from, in a sentence."""
    if proposal.alerts_a_day is None or proposal.upper is None:
        return f"{proposal.hours:.3g} hours watched"
    seen = f"{proposal.alerts} in {proposal.hours:.3g} hours"
    most = f"at most {number(proposal.upper)} ({CONFIDENCE:.0%})"
    if proposal.basis == "extrapolated":
        rate = f"{number(proposal.alerts_a_day)} false alerts a day expected, {most}, extrapolated; {seen}"
    else:
        rate = f"false alerts a day: {most}, counted; {seen}"
    return f"{rate}{'' if not proposal.asides else f'; {proposal.asides} set aside as real'}"


def lines(camera: str, status: BurnInStatus) -> list[str]:
    """Return the lines that show the burn-in of a camera to a person."""
    found = [f"{camera}: {_phase(status)}"]
    if status.note:
        found.append(f"  note        {status.note}")
    if status.proposal is not None:
        found += ["  proposal, not in service:", *_described(status.proposal, status.proposal.threshold)]
    if status.applied is not None:
        where = "in service" if status.in_service else "not in service: the settings or another bundle decide"
        found += [
            f"  applied {status.applied.at}, {where}:",
            *_described(status.applied.proposal, status.applied.threshold),
        ]
    return found


def _phase(status: BurnInStatus) -> str:
    if status.left_s is None:
        return "counting what was watched" if status.phase == "evaluating" else "no burn-in runs"
    silent = "; no alert is raised" if status.silent else "; alerts go on"
    gaps = f", {status.gaps} interruptions of {in_words(status.gap_s)}" if status.gaps else ""
    left = f"{in_words(status.left_s)} left of watching, {in_words(status.watched_s)} watched{gaps}"
    return f"burn-in for {number(status.wanted)} false alerts a day: {left}{silent}"


def _described(proposal: Proposal, threshold: float | None) -> list[str]:
    said = [
        f"    threshold   {'none' if threshold is None else f'{threshold:.4f}'}, the bundle has {proposal.was:.4f}",
        f"    evidence    {evidence(proposal)}",
        f"    watched     {proposal.since} to {proposal.until}",
        f"                {proposal.frames} frames at {proposal.fps:.3g} a second, {proposal.gaps} interruptions"
        + (f" of {in_words(proposal.gap_hours * 3600)}" if proposal.gaps else ""),
    ]
    if proposal.alerts_at:
        said.append(f"    alerts      taken for false ones, look at them: {_some(proposal.alerts_at, proposal.alerts)}")
    if proposal.aside:
        shown = [f"{one.at} ({one.seconds:.0f} s, peak {one.peak:.4g})" for one in proposal.aside]
        said.append(
            f"    set aside   far above all others, taken for real, look at them: {_some(shown, proposal.asides)}"
        )
    if proposal.threshold_of_all is not None:
        said.append(
            f"    if they are false alarms too: threshold {proposal.threshold_of_all:.4f} (--apply --all --force)"
        )
    said += [f"    problem     {problem}" for problem in proposal.problems]
    return said


def _some(shown: tuple[str, ...] | list[str], count: int) -> str:
    return ", ".join(shown) + (f" and {count - len(shown)} more" if count > len(shown) else "")


def number(value: float) -> str:
    """Return a number of alerts with two or three digits."""
    return f"{value:.2g}" if value < _SMALL else f"{value:,.0f}"
