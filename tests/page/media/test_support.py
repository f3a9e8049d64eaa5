"""Support archives: what is in them, and what never is."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

from edge_config.errors import AddressUnavailable
from edge_config.settings.page import PageSettings
from edge_config.wire.upkeep import OrderGiven, OrdersGiven
from runtime.page.media.support import Get, archive, of_page

SECRET = "hunter2-Zx9"  # noqa: S105 - of nobody
URL = f"rtsp://admin:{SECRET}@10.0.0.7/stream1"
PICTURE = b"\xff\xd8\xff jpeg \xff\xd9"


def giving(content: Any) -> Get:
    async def get() -> Any:
        return content

    return get


async def _away() -> Any:
    raise AddressUnavailable("no answer within 15 s", where=f"tcp://user:{SECRET}@press-3:5557")


def unpacked(parts: Mapping[str, Get]) -> dict[str, bytes]:
    async def gather() -> bytes:
        return b"".join([piece async for piece in archive(parts, "Head.")])

    whole = zipfile.ZipFile(io.BytesIO(asyncio.run(gather())))
    assert whole.testzip() is None
    return {name: whole.read(name) for name in whole.namelist()}


def test_planted_secrets_are_nowhere() -> None:
    """Secrets in settings, addresses, orders and lines of the log are in no file, and not in an error either."""
    order = OrderGiven(at_ms=1, key="k", user="anna", request="configure", fields=json.dumps({"source": URL}))
    cut = OrderGiven(at_ms=2, key="k", user="otto", request="configure", fields=f'{{"password": "{SECRET}", "al')
    lines = [json.dumps({"event": "opened", "source": URL}), f"plain: token={SECRET}", f"{URL} is dark"]
    files = unpacked(
        {
            "page.json": giving({**of_page(PageSettings()), "smtp": {"password": SECRET}}),
            "status.json": giving({"cameras": {"belt": {"reason": f"cannot open {URL}", "state": "failed"}}}),
            "orders.json": giving(OrdersGiven(orders=(order, cut))),
            "log.txt": giving("\n".join(lines)),
            "metrics.txt": giving(f'patchedge_up{{source="{URL}"}} 1\n'),
            "doctor.json": _away,
        }
    )
    assert {name for name, data in files.items() if SECRET.encode() in data} == set()
    assert json.loads(files["status.json"])["cameras"]["belt"]["state"] == "failed"
    assert [one["user"] for one in json.loads(files["orders.json"])["orders"]] == ["anna", "otto"]
    assert b"is dark" in files["log.txt"]


def test_what_could_not_be_had_is_said() -> None:
    """A part that the device does not give is named in the README, and all others are there; pictures are untouched."""
    files = unpacked({"status.json": _away, "belt.jpg": giving(PICTURE), "log.txt": giving("a line\n")})
    assert files.keys() == {"belt.jpg", "log.txt", "README.txt"}
    assert files["belt.jpg"] == PICTURE
    readme = files["README.txt"].decode()
    assert readme.startswith("Head.\n")
    assert "status.json: tcp://***@press-3:5557: no answer within 15 s" in readme


def test_page_says_its_versions() -> None:
    """The part about the page has the versions that a report of a fault needs."""
    said = of_page(PageSettings())
    assert said["versions"]["numpy"]
    assert said["settings"]["bind"] == "127.0.0.1:8088"
