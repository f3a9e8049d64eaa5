"""The page with invented cameras that can be taught and tuned.

`python -m tests.page.views.mock --port 8098` serves it. A collection takes a few seconds, as does learning.
"""

from __future__ import annotations

import argparse
import json
from contextlib import AbstractContextManager
from threading import Event
from typing import cast
from urllib.parse import unquote, urlsplit

from tests.page import mock
from tests.page.mock import Handler, Json, now_ms
from tests.page.views.world import TaughtWorld


class TaughtHandler(Handler):
    """Answers for a world that can be taught."""

    @property
    def taught(self) -> TaughtWorld:
        """Return the world."""
        return cast(TaughtWorld, self.world)

    def answer(self, parts: list[str], query: dict[str, list[str]]) -> None:
        """Answer about alerts too."""
        world = self.taught
        match parts:
            case ["alerts"]:
                state, key = (query.get(name, [""])[0] for name in ("state", "camera"))
                some = sorted(world.alerts.values(), key=lambda one: -one["start_ms"])
                some = [one for one in some if key in {"", one["key"]}]
                if state == "false_alarm":
                    some = [one for one in some if one["false_alarm"]]
                self.json({"alerts": some, "next": None})
            case ["alerts", alert, *rest] if alert in world.alerts:
                self._alert(world.alerts[alert], rest)
            case _:
                super().answer(parts, query)

    def _alert(self, alert: Json, rest: list[str]) -> None:
        match rest:
            case []:
                self.json(alert)
            case ["picture"]:
                self.send(self.world.picture(1, alert["start_ms"]), "image/jpeg")
            case ["heat"]:
                self.json(self.world.heat(1, alert["start_ms"]))
            case _:
                self.json({"error": "nothing here"}, 404)

    def camera(self, i: int, rest: list[str], query: dict[str, list[str]]) -> None:
        """Answer about teaching and settings of one camera."""
        world = self.taught
        world.turn()
        if world.away.is_set() and rest[:1] in (["teaching"], ["pictures"], ["versions"], ["settings"]):
            self.json({"error": "the device `press-3` does not answer"}, 503)
            return
        match rest:
            case ["teaching"]:
                self.json(world.teaching)
            case ["pictures"]:
                self.json({"pictures": world.pictures, "more": False, "stored_bytes": 0, "most_bytes": 1})
            case ["pictures", _name]:
                self.send(world.picture(i, 100 * sum(map(ord, _name))), "image/jpeg")
            case ["versions"]:
                self.json({"versions": world.versions, "learning": world.learning, "notice": ""})
            case ["settings"]:
                self.json(world.settings())
            case _:
                super().camera(i, rest, query)

    def do_POST(self) -> None:  # noqa: C901, N802 - a table of all changes; named by http.server
        """Answer a change."""
        if self.path.endswith("/session") or self.session()["role"] != "operator":
            super().do_POST()
            return
        body, world = self.body(), self.taught
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")][2:]
        world.asked.append(f"POST {self.path}")
        match parts:
            case ["alerts", alert, action]:
                self._decide(world.alerts[alert], action, body)
            case ["cameras", _, "teaching"]:
                world.teaching = {"state": "running", "reason": "", "wanted": body["frames"], "taught": 0, "aside": 0,
                                  "lost": 0, "every_ms": 40, "ends": None, "began_ms": now_ms()}  # fmt: skip
                self.json(world.teaching)
            case ["cameras", _, "pictures", decision]:
                chosen = [one for one in world.pictures if (one["kind"] == "aside" and not one["decided"])
                          or one["id"] in body.get("ids", [])]  # fmt: skip
                for one in chosen:
                    if body.get("all") or one["id"] in body["ids"]:
                        one["decided"] = f"{decision}ed"
                self.json({"camera": "belt", "changed": len(chosen), "undecided": 0})
            case ["cameras", _, "learn-on"]:
                self.json(world.learn_on(force=body["force"]))
            case ["cameras", _, "rollback"]:
                for one in world.versions:
                    one["active"] = one["id"] == body["to"] or (body["to"] == "root" and not one["parent"])
                self.json({})
            case ["cameras", _, "simulate"]:
                self.json(world.simulate(body["alerts"], body["from_ms"], body["to_ms"]))
            case ["cameras", _, "settings", "undo"]:
                world.changes.pop()
                self.json(world.settings())
            case _:
                self.json({"error": "nothing here"}, 404)

    def _decide(self, alert: Json, action: str, body: Json) -> None:
        by = unquote(self.headers.get("X-Patchedge-Name", ""))
        if action == "acknowledge":
            alert["acknowledged"] = {"by": by, "at_ms": now_ms()}
        elif action == "false-alarm" and self.taught.kept_score not in {None, body["score"]}:
            alert.update(picture_score=self.taught.kept_score, boxes=[[10, 10, 50, 50], [200, 80, 40, 40]])
            self.json({"error": "the picture has changed: look again"}, 409)
            return
        elif action == "false-alarm":
            self.taught.false_alarm(alert, by)
        else:
            alert["comments"].append({"by": by, "at_ms": now_ms(), "text": body["text"]})
        self.json(alert)

    def do_PUT(self) -> None:  # noqa: N802
        """Answer a change of the settings."""
        body, world = self.body(), self.taught
        values = [{"name": name, "before": world.alert_settings[name], "after": value}
                  for name, value in body.get("alerts", {}).items()]  # fmt: skip
        world.alert_settings.update(body.get("alerts", {}))
        for name in ("regions", "ignore"):
            if name in body:
                values.append({"name": name, "before": len(world.areas[name]), "after": len(body[name])})
                world.areas[name] = body[name]
        what = ", ".join(f"{name}: {json.dumps(value)}" for name, value in body.items() if name != "keep")
        change = {
            "number": len(world.changes) + 1,
            "at_ms": now_ms(),
            "by": "Anna",
            "what": what[:200],
            "values": values,
            "undone": False,
        }
        world.changes.append(change)
        self.json(world.settings())

    def do_DELETE(self) -> None:  # noqa: N802
        """End a session, a collection or learning."""
        world = self.taught
        if self.path.endswith(("/false-alarm", "/acknowledge")):
            alert = world.alerts[self.path.split("/")[-2]]
            if self.path.endswith("/acknowledge"):
                alert["acknowledged"] = None
            else:
                world.not_false(alert)
            self.json(alert)
            return
        if self.path.endswith("teaching") and world.teaching:
            world.teaching.update(state="over", reason="stopped")
        if self.path.endswith("learn-on"):
            world.versions = [one for one in world.versions if not one["waits"]]
            world.learning.update(state="idle", reason="stopped by a request")
        super().do_DELETE()

    def event(self, kind: str, value: Json) -> None:
        """Write an event, and the alerts that began meanwhile."""
        while self.taught.news:
            super().event("alert", self.taught.news.pop(0))
        super().event(kind, value)


def serving(world: TaughtWorld, port: int = 0) -> AbstractContextManager[str]:
    """Serve a world on loopback while the context is open. Return the address."""
    return mock.serving(world, port, TaughtHandler)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="the page with cameras that can be taught")
    parser.add_argument("--port", type=int, default=8098)
    given = parser.parse_args()
    with serving(TaughtWorld(cameras=4, takes_s=4.0), given.port) as address:
        print(address, flush=True)
        Event().wait()
