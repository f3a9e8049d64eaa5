"""Invented cameras with alerts to judge, pictures to teach and settings to tune."""

from __future__ import annotations

from datetime import datetime, timezone
from threading import Event
from typing import Any

from tests.page.mock import HEIGHT, THRESHOLD, WIDTH, Json, World, now_ms

STEPS = ("load", "compare", "grow", "score held-out pictures", "seal", "score again", "show faults", "score alerts")


def iso(ms: float) -> str:
    """Return a wall clock as the wire writes it."""
    return datetime.fromtimestamp(ms / 1000, timezone.utc).isoformat().replace("+00:00", "Z")


def stored(number: int, kind: str, score: float, at_ms: float, **more: Any) -> Json:
    """Return a stored picture."""
    stamp = datetime.fromtimestamp(at_ms / 1000, timezone.utc).strftime("%Y%m%dT%H%M%S") + f"{int(at_ms) % 1000:03d}Z"
    known = {"id": f"{stamp}-{number:08x}", "kind": kind, "camera": "belt", "time": iso(at_ms), "frame": number}
    rest = {"score": score, "threshold": THRESHOLD, "sha256": "", "bytes": 90_000, "alert": None, "by": ""}
    return {**known, **rest, "decided": "", **more}


class TaughtWorld(World):
    """The invented cameras, with alerts, pictures, versions and settings that change as a person decides.

    Attributes:
        takes_s: how long a collection takes, as does learning.
        kept_score: score of the picture that the device keeps of an alert; None: of that which is shown.
    """

    def __init__(self, *, takes_s: float = 0.4, **options: Any) -> None:
        """Begin with some alerts, of which one goes on, and nothing taught."""
        super().__init__(**options)
        self.takes_s = takes_s
        self.away = Event()  # set: the device does not answer
        self.alerts = {one["id"]: one for one in (self._invented(k) for k in range(14))}
        self.news: list[Json] = []
        self.pictures: list[Json] = []
        self.teaching: Json | None = None
        self.learning_from_ms = 0
        self.learning: Json = {"camera": "belt", "state": "idle", "step": "", "done": 0, "total": 0, "ahead": 0,
                               "version": "", "problems": [], "reason": "", "seconds": 0.0}  # fmt: skip
        self.careful = False
        self.kept_score: float | None = None
        self.versions: list[Json] = [self.version(0, "")]
        self.alert_settings: Json = {"threshold": None, "hysteresis": 0.0, "min_frames": None, "min_ms": None,
                                     "merge_ms": 1000, "cooldown_ms": 0}  # fmt: skip
        self.areas: Json = {"regions": [], "ignore": []}
        self.changes: list[Json] = []

    def _invented(self, k: int) -> Json:
        name = self.names()[k % min(3, self.count)]
        begin = now_ms() - k * k * 400_000 - 42_000
        alert = {**self.alert(1), "id": f"0b5c1e6e-0000-4000-8000-{k:012d}", "key": f"press-3:{name}", "camera": name,
                 "start_ms": begin, "end_ms": None if k == 0 else begin + 900 * (k + 1), "peak_score": 2.6 + k / 3,
                 "picture_score": 2.6 + k / 3, "peak_ms": begin,
                 "clip": "clip.avi" if k else "", "has_clip": False, "comments": []}  # fmt: skip
        if k in {3, 4}:
            alert["acknowledged"] = {"by": "Anna", "at_ms": begin + 60_000}
            alert["comments"] = [{"by": "Anna", "at_ms": begin + 70_000, "text": "A lid was upside down.\nTaken out."}]
        if k == 6:
            alert["false_alarm"] = {"by": "Otto", "at_ms": begin + 60_000}
        return alert

    def version(self, number: int, parent: str, problems: tuple[str, ...] = ()) -> Json:
        """Return a version of a bundle."""
        learnt = self._compared() if parent else []
        golden = {"name": "golden frame 1", "before": 3.0, "after": 3.0, "found_before": True, "found_after": True}
        report = {"threshold_before": THRESHOLD, "threshold_after": 2.5, "threshold_root": THRESHOLD, "learnt": learnt,
                  "golden": [golden], "peaks": [golden, golden], "entries_before": 2000, "entries_after": 2041,
                  "faults": {"shown": 128, "found_before": 71, "found_after": 50 if problems else 69,
                             "lost": 21 if problems else 2}, "added": 41, "dropped": 0, "places": []}  # fmt: skip
        return {"id": f"{number:02d}c0ffee" * 8, "parent": parent, "round": number,
                "number": number, "by": "",
                "at": iso(now_ms()) if parent else "", "pictures": len(learnt), "added": 41 if parent else 0,
                "dropped": 0, "entries": 2000 + 41 * number if parent else 0, "threshold": 2.5 if parent else None,
                "faults": [128, 71, 69] if parent else [0, 0, 0], "problems": list(problems), "waits": bool(problems),
                "active": not problems, "report": report if parent else None}  # fmt: skip

    def _compared(self) -> list[Json]:
        taught = [one for one in self.pictures if one["kind"] != "aside" or one["decided"] in {"accepted", "learnt"}]
        taught.sort(key=lambda one: -one["score"])
        return [
            {"name": f"{one['id']}.png", "before": one["score"], "after": 1.3}
            | {"found_before": one["score"] > THRESHOLD, "found_after": False}
            for one in taught
        ]

    def raise_alert(self) -> Json:
        """Begin another alert, and tell it to all who listen."""
        alert = {**self._invented(0), "id": f"0b5c1e6e-0000-4000-9000-{len(self.alerts):012d}", "start_ms": now_ms()}
        self.alerts[alert["id"]] = alert
        self.news.append(alert)
        return alert

    def turn(self) -> None:
        """Go on with what takes time."""
        if self.teaching and self.teaching["state"] == "running":
            self._collect(self.teaching)
        if self.learning["state"] == "running":
            self._learn()

    def _collect(self, teaching: Json) -> None:
        share = (now_ms() - teaching["began_ms"]) / 1000 / self.takes_s
        while teaching["taught"] + teaching["aside"] < min(1.0, share) * teaching["wanted"]:
            number = len(self.pictures)
            strange = number % 5 == 2
            self.pictures.append(stored(number, "aside" if strange else "taught", 3.1 if strange else 1.2, now_ms()))
            teaching["aside" if strange else "taught"] += 1
        if share >= 1:
            teaching.update(state="over", reason="all stored")

    def _learn(self) -> None:
        share = (now_ms() - self.learning_from_ms) / 1000 / self.takes_s
        step = STEPS[min(len(STEPS) - 1, int(share * len(STEPS)))]
        self.learning.update(step=step, done=int(share * 80) % 10, total=10, seconds=share * self.takes_s)
        if share < 1:
            return
        parent = next(one for one in self.versions if one["active"])
        problems = ("21 of 71 synthetic faults on the new pictures would be found no longer (of 128 shown, 71 were "
                    "found before and 50 are now).",) if self.careful else ()  # fmt: skip
        made = self.version(len(self.versions), parent["id"], problems)
        self.versions.append(made)
        self.learning.update(state="waiting" if problems else "done", version=made["id"], problems=list(problems))
        if not problems:
            self._serve(made)

    def _serve(self, version: Json) -> None:
        for one in self.versions:
            one["active"] = one is version
        for picture in self.pictures:
            if picture["decided"] == "accepted" or (picture["kind"] == "taught" and not picture["decided"]):
                picture["decided"] = "learnt"

    def learn_on(self, *, force: bool) -> Json:
        """Learn, or use what waits."""
        if force and self.learning["state"] == "waiting":
            self.versions[-1]["waits"] = False
            self._serve(self.versions[-1])
            self.learning["state"] = "done"
        else:
            self.learning_from_ms = now_ms()
            self.learning.update(state="running", step="", reason="")
        return self.learning

    def false_alarm(self, alert: Json, by: str) -> None:
        """Keep the peak of an alert as normal."""
        alert["false_alarm"] = {"by": by, "at_ms": now_ms()}
        more = {"decided": "accepted", "alert": alert["id"]}
        self.pictures = [one for one in self.pictures if one["alert"] != alert["id"]]
        self.pictures.append(stored(len(self.pictures), "peak", alert["peak_score"], now_ms(), **more))

    def not_false(self, alert: Json) -> None:
        """Take it back that an alert is a false alarm."""
        alert["false_alarm"] = None
        for one in self.pictures:
            if one["alert"] == alert["id"] and one["decided"] == "accepted":
                one["decided"] = "rejected"

    def simulate(self, changes: Json, from_ms: int, to_ms: int) -> Json:
        """Return invented alerts: fewer of them the higher the threshold is."""
        threshold = changes.get("threshold") or self.alert_settings["threshold"] or THRESHOLD

        def alerts(count: int) -> list[Json]:
            each = (to_ms - from_ms) / max(1, count)
            return [{"from_ms": int(from_ms + (k + 0.4) * each), "to_ms": int(from_ms + (k + 0.4) * each + 9000),
                     "peak": 2.9} for k in range(count)]  # fmt: skip

        now, then = alerts(41), alerts(round(41 * (THRESHOLD / threshold) ** 6))
        return {"now": len(now), "then": len(then), "now_list": now, "then_list": then, "frames": 90_000,
                "hours": (to_ms - from_ms) / 3_600_000}  # fmt: skip

    def settings(self) -> Json:
        """Return the settings of a camera."""
        in_force = self.alert_settings["threshold"] or THRESHOLD
        return {"threshold": in_force, "bundle_threshold": THRESHOLD, "alerts": self.alert_settings, **self.areas,
                "frame_hw": [HEIGHT, WIDTH], "regions_of": "", "file": "device.yaml",
                "changes": self.changes[::-1]}  # fmt: skip
