"""The bridge at a real MQTT broker."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_config.settings import bridge
from edge_config.settings.bridge import Bridge
from runtime.bridge.mqtt import MqttSink
from runtime.bridge.relay import IN_FLIGHT
from tests.support.brokers import Mosquitto, needs_mosquitto
from tests.support.fakes.bridged_device import FakeDevice, bridged
from tests.support.mqtt_listener import Listener
from tests.support.processes import ENOUGH_S, started

pytestmark = needs_mosquitto

ALERTS = 2000
KILLS = 3
STATUS = "patchedge/bridge/bridge/status"
CAM1 = "patchedge/edge/cam1"

END_S = 8.0
"""3 s for confirmations, 2 s for the farewell, and as much for a busy machine."""


def tree(broker: Mosquitto, **more: Any) -> dict[str, Any]:
    mqtt = {"host": "127.0.0.1", "port": broker.port, **more.pop("mqtt", {})}
    return {"devices": [{"events": "tcp://127.0.0.1:1", "control": "tcp://127.0.0.1:2"}], "mqtt": mqtt, **more}


def settings(broker: Mosquitto, **more: Any) -> Bridge:
    return bridge.parse(tree(broker, **more))


def test_alert_arrives_as_published_and_is_acknowledged(broker: Mosquitto) -> None:
    """An alert message arrives with QoS 1, not retained, with the JSON of the device, and is acknowledged by name."""

    async def run(listener: Listener) -> None:
        device = FakeDevice()
        async with bridged(settings(broker, name="hall"), device):
            said = device.alert()
            heard = await asyncio.to_thread(listener.last, f"{CAM1}/alert")
            await device.alerts.until(lambda: len(device.alerts.acknowledged) == 1)
        body = json.loads(heard.payload)
        assert (heard.qos, heard.retain) == (1, False)
        assert (body["alert_id"], body["seq"], body["schema"]) == (said.alert_id, 1, "patchedge.alert.v1")
        assert device.alerts.acknowledged == [f"v1/alert/edge/cam1/{said.epoch}/1"]
        assert device.names == ["hall"]
        assert device.alerts.closed
        assert device.news.closed

    with Listener(broker.port) as listener:
        asyncio.run(run(listener))


def test_who_joins_late_finds_the_present(broker: Mosquitto) -> None:
    """State, open alert, its picture and what is online are retained; the alerts themselves are not."""

    async def run(listener: Listener) -> None:
        device = FakeDevice()
        async with bridged(settings(broker), device):
            device.health()
            device.state("blurred")
            device.alert(jpeg=b"\xff\xd8picture")
            await device.alerts.until(lambda: len(device.alerts.acknowledged) == 1)
            await asyncio.to_thread(listener.last, f"{CAM1}/state")
            await asyncio.to_thread(listener.until_says, "patchedge/edge/status", b"online")
            await asyncio.to_thread(check)

    def check() -> None:
        with Listener(broker.port, "patchedge/#") as late:
            assert json.loads(late.last(f"{CAM1}/state").payload)["state"] == "blurred"
            assert late.last(f"{CAM1}/anomaly").payload == b"ON"
            assert late.last(f"{CAM1}/picture").payload == b"\xff\xd8picture"
            assert late.last("patchedge/edge/status").payload == b"online"
            assert late.last(STATUS).payload == b"online"
            assert all(one.retain for one in late.heard)
            assert f"{CAM1}/alert" not in {one.topic for one in late.heard}

    with Listener(broker.port) as listener:
        asyncio.run(run(listener))


def test_anomaly_follows_the_newest_alert(broker: Mosquitto) -> None:
    """A camera that never had an alert shows OFF, start is ON, end is OFF, and an old replay does not change that."""

    async def run(listener: Listener) -> None:
        device, earlier = FakeDevice(), FakeDevice(epoch="earlier")
        async with bridged(settings(broker), device):
            device.health()
            await asyncio.to_thread(listener.until_says, f"{CAM1}/anomaly", b"OFF")
            before = earlier.alert()
            said = device.alert()
            device.alert("end", alert_id=said.alert_id)
            device.alerts.waiting.put_nowait(earlier.alerts.waiting.get_nowait())
            assert before.t_publish_ns < said.t_publish_ns
            await device.alerts.until(lambda: len(device.alerts.acknowledged) == 3)
        assert [one.payload for one in listener.heard if one.topic == f"{CAM1}/anomaly"] == [b"OFF", b"ON", b"OFF"]

    with Listener(broker.port) as listener:
        asyncio.run(run(listener))


def test_home_assistant_is_told_the_same_each_time(broker: Mosquitto) -> None:
    """Discovery is retained, in the keys that Home Assistant documents, and its ids are those of the run before."""

    async def run(listener: Listener) -> dict[str, bytes]:
        device = FakeDevice()
        async with bridged(settings(broker, scores=True), device):
            device.health()
            device.alert(jpeg=b"\xff\xd8")
            await device.alerts.until(lambda: len(device.alerts.acknowledged) == 1)
            topics = {f"homeassistant/{place}/config" for place in EXPECTED}
            await asyncio.to_thread(listener.until, lambda: topics <= {one.topic for one in listener.heard})
        return {one.topic: one.payload for one in listener.heard if one.topic.startswith("homeassistant/")}

    told = []
    for _ in range(2):
        with Listener(broker.port, "homeassistant/#") as listener:
            told.append(asyncio.run(run(listener)))
    assert told[0] == told[1]
    configs = {topic: json.loads(payload) for topic, payload in told[0].items()}
    assert set(configs) == {f"homeassistant/{place}/config" for place in EXPECTED}
    for place, expected in EXPECTED.items():
        config = configs[f"homeassistant/{place}/config"]
        assert {key: config[key] for key in expected} == expected
        assert config["device"]["identifiers"] == ["patchedge:edge:cam1"]
        assert config["availability_mode"] == "all"
        assert {one["topic"] for one in config["availability"]} == {STATUS, "patchedge/edge/status"}
        assert config["origin"]["name"] == "patchedge bridge"
    assert len({config["unique_id"] for config in configs.values()}) == len(EXPECTED)


EXPECTED: dict[str, dict[str, Any]] = {
    "binary_sensor/patchedge-edge/cam1_anomaly": {
        "state_topic": f"{CAM1}/anomaly",
        "payload_on": "ON",
        "payload_off": "OFF",
        "device_class": "problem",
        "unique_id": "patchedge:edge:cam1:anomaly",
    },
    "sensor/patchedge-edge/cam1_state": {
        "state_topic": f"{CAM1}/state",
        "value_template": "{{ value_json.state }}",
        "device_class": "enum",
        "options": [
            "starting", "live", "stalled", "frozen", "dark", "blurred", "moved", "disconnected", "failed", "paused",
        ],
    },
    "sensor/patchedge-edge/cam1_score": {
        "state_topic": f"{CAM1}/score",
        "value_template": "{{ value_json.score }}",
        "state_class": "measurement",
    },
    "image/patchedge-edge/cam1_picture": {"image_topic": f"{CAM1}/picture", "content_type": "image/jpeg"},
}  # fmt: skip
"""As https://www.home-assistant.io/integrations/mqtt/ has them."""


@pytest.mark.slow
def test_nothing_is_lost_when_the_broker_is_killed_under_load(tmp_path: Path) -> None:
    """Of some hundred alerts, with the broker killed three times meanwhile, each arrives and is acknowledged."""
    broker = Mosquitto(tmp_path)
    broker.start()
    try:
        with Listener(broker.port, f"{CAM1}/alert", session="recorder") as listener:
            broker.end(signal.SIGTERM)  # it writes the session down
            broker.start()
            listener.until(lambda: listener.connections == 2)
            asyncio.run(_send_and_kill(broker, listener))
    finally:
        broker.end()


async def _send_and_kill(broker: Mosquitto, listener: Listener) -> None:
    device = FakeDevice()
    expected = {device.alert().alert_id for _ in range(ALERTS)}
    async with bridged(settings(broker), device):
        for kill in range(KILLS):
            enough = ALERTS * kill // (KILLS + 1)
            await asyncio.to_thread(listener.until, lambda enough=enough: len(ids(listener)) > enough)
            await asyncio.to_thread(broker.end)
            assert len(device.alerts.acknowledged) < ALERTS, "it was killed when all was over"
            await asyncio.to_thread(broker.start)
        await device.alerts.until(lambda: len(device.alerts.acknowledged) == ALERTS)
        await asyncio.to_thread(listener.until, lambda: ids(listener) == expected)
    assert device.alerts.acknowledged == [f"v1/alert/edge/cam1/{device.epoch}/{seq + 1}" for seq in range(ALERTS)]


def ids(listener: Listener) -> set[str]:
    return {json.loads(one.payload)["alert_id"] for one in list(listener.heard)}


def test_alert_is_acknowledged_after_the_broker_confirmed_it(broker: Mosquitto) -> None:
    """While the broker is connected but stopped, alerts are taken up to the bound, and none is acknowledged."""

    async def run(listener: Listener) -> None:
        device = FakeDevice()
        async with bridged(settings(broker), device):
            await asyncio.to_thread(listener.until_says, STATUS, b"online")
            broker.send(signal.SIGSTOP)
            for _ in range(2 * IN_FLIGHT):
                device.alert()
            await device.alerts.until(lambda: device.alerts.taken == IN_FLIGHT)
            for _ in range(10):  # states are read on, and so are alerts, if they are
                device.state()
            await device.news.until(lambda: device.news.taken == 10)
            assert (device.alerts.taken, device.alerts.acknowledged) == (IN_FLIGHT, [])
            broker.send(signal.SIGCONT)
            await device.alerts.until(lambda: len(device.alerts.acknowledged) == 2 * IN_FLIGHT)

    with Listener(broker.port) as listener:
        asyncio.run(run(listener))


@pytest.mark.slow
def test_broker_that_is_not_there_is_waited_for(tmp_path: Path) -> None:
    """The bridge begins before its broker: alerts are held up to the bound, of the states the newest, scores not."""
    broker = Mosquitto(tmp_path)

    async def run() -> None:
        device = FakeDevice()
        async with bridged(settings(broker, scores=True), device):
            for _ in range(2 * IN_FLIGHT):
                device.alert()
            await device.alerts.until(lambda: device.alerts.taken == IN_FLIGHT)
            device.score()
            for state in ("live", "dark", "live", "moved"):
                device.state(state)
            await device.news.until(lambda: device.news.taken == 5)
            assert (device.alerts.taken, device.alerts.acknowledged) == (IN_FLIGHT, [])
            await asyncio.to_thread(broker.start)
            with await asyncio.to_thread(listen) as listener:
                await device.alerts.until(lambda: len(device.alerts.acknowledged) == 2 * IN_FLIGHT)
                await asyncio.to_thread(listener.last, f"{CAM1}/state")
                device.score()
                await asyncio.to_thread(listener.last, f"{CAM1}/score")
        said = [json.loads(one.payload)["state"] for one in listener.heard if one.topic == f"{CAM1}/state"]
        assert set(said) == {"moved"}
        assert [one.qos for one in listener.heard if one.topic == f"{CAM1}/score"] == [0]

    def listen() -> Listener:
        return Listener(broker.port).__enter__()

    try:
        asyncio.run(run())
    finally:
        broker.end()


@pytest.mark.slow
def test_scores_that_a_dead_connection_held_block_no_later_ones(broker: Mosquitto) -> None:
    """A broker that stops reading is sent scores up to a limit; killed and started again, it gets new ones at once."""

    async def run(listener: Listener) -> None:
        device = FakeDevice()
        device.score()
        said = device.news.waiting.get_nowait().message
        sink = MqttSink(bridge.parse(tree(broker)).mqtt, "bridge", scores=True)
        await sink.start()
        try:
            await asyncio.to_thread(listener.until_says, STATUS, b"online")
            broker.send(signal.SIGSTOP)
            done = {None}
            while done:  # until nothing more goes into the sockets
                while await sink.score(said):
                    pass
                done, _ = await asyncio.wait(sink._scores, timeout=1)
            broker.send(signal.SIGKILL)  # while it is stopped, so that it reads no more
            await asyncio.to_thread(broker.end)
            await asyncio.to_thread(broker.start)
            await asyncio.to_thread(listener.until, lambda: listener.connections == 2)
            await asyncio.to_thread(listener.until, lambda: online(listener) > 1)
            assert await sink.score(said)
        finally:
            await sink.close(END_S)

    def online(listener: Listener) -> int:
        return [one.payload for one in listener.heard if one.topic == STATUS].count(b"online")

    with Listener(broker.port, STATUS) as listener:
        asyncio.run(run(listener))


@pytest.mark.slow
def test_broker_that_forgot_everything_is_told_again(broker: Mosquitto) -> None:
    """A broker that was killed and knows nothing any more has state and anomaly again when the bridge is back."""

    async def run(listener: Listener) -> None:
        device = FakeDevice()
        async with bridged(settings(broker), device):
            device.state("dark")
            device.alert()
            await device.alerts.until(lambda: len(device.alerts.acknowledged) == 1)
            await asyncio.to_thread(listener.last, f"{CAM1}/state")
            await asyncio.to_thread(broker.end)
            await asyncio.to_thread(broker.start)
            await asyncio.to_thread(check)

    def check() -> None:
        with Listener(broker.port) as late:
            assert json.loads(late.last(f"{CAM1}/state").payload)["state"] == "dark"
            assert late.last(f"{CAM1}/anomaly").payload == b"ON"
            assert late.last(STATUS).payload == b"online"

    with Listener(broker.port) as listener:
        asyncio.run(run(listener))


def test_silent_device_is_offline_until_it_is_heard_again(broker: Mosquitto) -> None:
    """Three heart-beats without a word make a device offline, the next one online."""
    topic = "patchedge/edge/status"

    async def run(listener: Listener) -> None:
        device = FakeDevice()
        async with bridged(settings(broker), device):
            device.health(heartbeat_s=0.1)
            await asyncio.to_thread(listener.until_says, topic, b"offline")
            device.health()
            await asyncio.to_thread(listener.until, lambda: listener.last(topic).payload == b"online")
        said = [one.payload for one in listener.heard if one.topic == topic]
        assert b"online" in said[said.index(b"offline") :]
        assert said[-1] == b"offline"  # the bridge has ended, and nobody watches the device

    with Listener(broker.port) as listener:
        asyncio.run(run(listener))


@pytest.mark.slow
def test_broker_tells_when_the_bridge_is_killed(broker: Mosquitto, tmp_path: Path) -> None:
    """After kill -9 the broker says that the bridge is offline, and later joiners hear it."""
    with Listener(broker.port) as listener, running(broker, tmp_path) as process:
        listener.until_says(STATUS, b"online")
        process.kill()
        listener.until_says(STATUS, b"offline")
        with Listener(broker.port) as late:
            assert (late.last(STATUS).payload, late.last(STATUS).retain) == (b"offline", True)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it_in_order(broker: Mosquitto, tmp_path: Path, number: signal.Signals) -> None:
    """A signal ends the bridge with 0; it says offline itself, and logs what it did."""
    with Listener(broker.port) as listener, running(broker, tmp_path) as process:
        listener.last(f"{CAM1}/alert")
        listener.last(f"{CAM1}/state")
        process.send_signal(number)
        _, log = process.communicate(timeout=END_S)
        listener.until_says(STATUS, b"offline")
    assert process.returncode == 0
    ended = json.loads(log.splitlines()[-1])
    assert (ended["event"], ended["alerts"], ended["states"], ended["unconfirmed"]) == ("ended", 1, 1, 0)


@pytest.mark.slow
def test_signal_ends_it_without_a_broker(tmp_path: Path) -> None:
    """Where the broker never came, a signal ends the bridge all the same, and the alert is left to the device."""
    broker = Mosquitto(tmp_path)
    with running(broker, tmp_path) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline(), process.stderr.readline()]
        assert any("retrying" in line for line in lines), lines
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=END_S)
    assert process.returncode == 0
    ended = json.loads(log.splitlines()[-1])
    assert (ended["alerts"], ended["unconfirmed"]) == (0, 1)


@pytest.mark.slow
def test_password_comes_from_a_file(tmp_path: Path) -> None:
    """The bridge logs in with the first line of the file; with another password the broker refuses it."""
    subprocess.run(["mosquitto_passwd", "-c", "-b", str(tmp_path / "users"), "hall", "s3cret"], check=True)  # noqa: S607
    secret = tmp_path / "password"
    secret.touch(mode=0o600)
    broker = Mosquitto(tmp_path, f"allow_anonymous false\npassword_file {tmp_path}/users")
    broker.start()
    mqtt = {"username": "hall", "password_file": str(secret)}

    async def run(listener: Listener) -> None:
        device = FakeDevice()
        secret.write_text("wrong\n")
        device.alert()
        async with bridged(settings(broker, mqtt=mqtt), device):
            await asyncio.to_thread(broker.until_logs, "not authorised")
        assert device.alerts.acknowledged == []
        secret.write_text("s3cret\n")
        device.alert()
        async with bridged(settings(broker, mqtt=mqtt), device):
            await asyncio.to_thread(listener.last, f"{CAM1}/alert")

    try:
        with Listener(broker.port, username="hall", password="s3cret") as listener:  # noqa: S106
            asyncio.run(run(listener))
    finally:
        broker.end()


def running(broker: Mosquitto, folder: Path) -> Any:
    """Start the bridge in a process of its own."""
    path = folder / "bridge.yaml"
    path.write_text(yaml.safe_dump(tree(broker)))
    return started(sys.executable, "-m", "tests.support.fakes.bridged_device", path)


assert END_S < ENOUGH_S
