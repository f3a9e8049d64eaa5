"""`patchedge bridge` between a device at its sockets and a real MQTT broker."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.brokers import Mosquitto, needs_mosquitto
from tests.support.fakes import answering
from tests.support.mqtt_listener import Listener
from tests.support.processes import DEVICE, ENOUGH_S, started

pytestmark = needs_mosquitto


def configured(device: Any, broker: Mosquitto, folder: Path) -> Path:
    path = folder / "bridge.yaml"
    addresses = {"events": device.events, "control": device.control}
    mqtt = {"host": "127.0.0.1", "port": broker.port}
    path.write_text(yaml.safe_dump({"devices": [addresses], "mqtt": mqtt, "name": "hall"}))
    return path


@pytest.mark.slow
def test_alerts_arrive_though_the_bridge_was_killed(broker: Mosquitto, tmp_path: Path) -> None:
    """What the device journaled before the bridge came, and while it was away, arrives; what was acknowledged rests."""
    with answering.Device(tmp_path) as device, Listener(broker.port) as listener:
        config = configured(device, broker, tmp_path)
        device.state("a", "covered")
        for alert_id in ("one", "two"):
            device.alert("a", alert_id, "start")
        with started(*DEVICE, "bridge", "--config", config) as process:
            listener.until(lambda: ids(listener) == ["one", "two"])
            assert json.loads(listener.last("patchedge/edge/a/state").payload)["reason"] == "covered"
            device.wait_subscribed(["v1/alert/"])
            device.say(device.alert("b", "three", "start", (b"\xff\xd8picture",)))
            assert listener.last("patchedge/edge/b/picture").payload == b"\xff\xd8picture"
            listener.until(lambda: len(acknowledged(device)) == 3)
            process.kill()
        device.alert("a", "two", "end")
        device.alert("a", "four", "start")
        with started(*DEVICE, "bridge", "--config", config) as process:
            listener.until(lambda: ids(listener)[-2:] == ["two", "four"])
            process.send_signal(signal.SIGTERM)
            _, log = process.communicate(timeout=ENOUGH_S)
        assert process.returncode == 0, log
        assert ids(listener) == ["one", "two", "three", "two", "four"]
        assert set(acknowledged(device)) == {"one", "two", "three", "four"}
        assert json.loads(log.splitlines()[-1])["alerts"] == 2


def ids(listener: Listener) -> list[str]:
    return [json.loads(one.payload)["alert_id"] for one in list(listener.heard) if one.topic.endswith("/alert")]


def acknowledged(device: Any) -> list[str]:
    with device.lock:
        return [ack.alert_id for ack in device.acks if ack.subscriber == "hall"]
