"""Bundles of the run: whole and signed ones that differ in their threshold, and so in their ids."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nacl.signing import SigningKey

from edge_config.bundle import files as bundles
from runtime.security.signing import public_text, sign
from tests.support.fakes.fleet_runtime import Bundle
from tests.support.forge import edit_golden, reseal
from tests.support.tiny import make_bundle, with_threshold

ALERTS_PER_S = 1.0
"""Usual rate of alerts of a simulated device."""

FACTOR = 2.5
"""How many times as many the bundle `alerting` raises."""

THRESHOLDS = {"good": 61.0, "better": 62.0, "unequal": 63.0, "alerting": 25.0, "unsigned": 65.0}
"""Of the bundles beside `old`: with that of `alerting` a real device calls weak objects anomalous, too."""

REFUSAL = "golden frame 2 scores 0.31 apart from its export; 0.001 is allowed"
REFUSED_BY = 4
"""Every device of this number refuses the bundle `unequal`."""


@dataclass(frozen=True)
class RunBundles:
    """Folders of bundles, and their ids.

    Attributes:
        old: the bundle of all settings.
        good, better: good ones.
        unequal: fails parity on some simulated devices, and on all real ones.
        alerting: raises more alerts.
        unsigned: is not signed.
        trusted: public key of the workshop.
    """

    old: Path
    good: Path
    better: Path
    unequal: Path
    alerting: Path
    unsigned: Path
    trusted: str

    def id(self, name: str) -> str:
        """Return the id of one of them."""
        return bundles.read(getattr(self, name)).id


def make_bundles(folder: Path, pictures: int) -> RunBundles:
    """Make all of them, with so many pictures in the bank, and sign all but one."""
    key = SigningKey.generate()
    old = make_bundle(folder / "old.bundle", pictures=pictures)
    more = {name: with_threshold(old, folder / f"{name}.bundle", threshold) for name, threshold in THRESHOLDS.items()}
    _spoil(more["unequal"])
    for path in (old, *(path for name, path in more.items() if name != "unsigned")):
        sign(path, key)
    return RunBundles(old=old, trusted=public_text(key), **more)


def behaviour(made: RunBundles, devices: list[str]) -> dict[str, dict[str, Bundle]]:
    """Return how each bundle behaves on each simulated device."""
    usual = {made.id(one): Bundle(alerts_per_s=ALERTS_PER_S) for one in ("old", "good", "better", "unequal")}
    usual[made.id("alerting")] = Bundle(alerts_per_s=FACTOR * ALERTS_PER_S)
    refuses = {made.id("unequal"): Bundle(refusal=REFUSAL)}
    return {name: {**usual, **(refuses if at % REFUSED_BY == 0 else {})} for at, name in enumerate(devices)}


def refusing(devices: list[str]) -> list[str]:
    """Return the devices on which the bundle `unequal` fails parity."""
    return devices[::REFUSED_BY]


def _spoil(bundle: Path) -> None:
    """Have a bundle expect other scores of its golden frames, and be whole otherwise: no device can reach them."""
    edit_golden(bundle, "scores", lambda scores: scores + 1.0)
    reseal(bundle)
