"""The figures that Prometheus collects."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import runtime
from edge_config.wire.messages import State
from runtime.monitoring.metrics import STAGES, STATES, Metrics

STATE_NAMES: tuple[State, ...] = ("live", "frozen", "live", "disconnected")


def figures(metrics: Metrics) -> dict[str, float]:
    """Read the text as Prometheus does: `name{label=value,...}` -> figure."""
    found = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


def test_every_verb_shows_under_its_documented_name() -> None:
    """What the main loop says is found under the names that users write into their alerts."""
    metrics = Metrics()
    metrics.captured("top", 1_700_000_000_500_000_000)
    metrics.dropped("top", "too old", 2)
    metrics.dropped_in_all("top", {"newer": 7})
    metrics.reconnected_in_all("top", {"stalled": 3})
    metrics.scored("top", 1.25, 0.012)
    metrics.stages({"embed": 0.004, "search": 0.001})
    metrics.state("top", "live")
    metrics.alerted("top")
    metrics.published_in_all({"score": 1})
    metrics.machine(61.5, 1 << 30)
    metrics.degraded(2)
    metrics.bundle("top", "ab12")
    metrics.worker_restarted("hung")
    metrics.reloaded(taken=True)
    metrics.reloaded(taken=False)
    found = figures(metrics)
    expected = {
        "frames_captured_total{camera=top}": 1,
        "last_frame_timestamp_seconds{camera=top}": 1_700_000_000.5,
        "frames_dropped_total{camera=top,reason=too old}": 2,
        "frames_dropped_total{camera=top,reason=newer}": 7,
        "reconnects_total{camera=top,reason=stalled}": 3,
        "score{camera=top}": 1.25,
        "frame_age_seconds_count{camera=top}": 1,
        "frame_age_seconds_sum{camera=top}": 0.012,
        "frame_age_seconds_bucket{camera=top,le=0.01}": 0,
        "frame_age_seconds_bucket{camera=top,le=0.02}": 1,
        "stage_seconds_sum{stage=embed}": 0.004,
        "stage_seconds_count{stage=search}": 1,
        "camera_state{camera=top,state=live}": 1,
        "camera_state{camera=top,state=frozen}": 0,
        "alerts_total{camera=top}": 1,
        "messages_total{kind=score}": 1,
        "temperature_celsius": 61.5,
        "memory_available_bytes": 1 << 30,
        "degradation_level": 2,
        "bundle_info{camera=top,id=ab12}": 1,
        "worker_restarts_total{reason=hung}": 1,
        "reloads_total{result=taken}": 1,
        "reloads_total{result=refused}": 1,
    }
    assert {f"patchedge_{name}": value for name, value in expected.items()}.items() <= found.items()
    assert any(name.startswith("patchedge_build_info{version=") for name in found)


def test_camera_is_in_one_state() -> None:
    """Of all states exactly one is 1, whatever a camera went through."""
    metrics = Metrics()
    for state in STATE_NAMES:
        metrics.state("top", state)
        found = figures(metrics)
        assert {name: found[f"patchedge_camera_state{{camera=top,state={name}}}"] for name in STATES} == {
            name: float(name == state) for name in STATES
        }


def test_reload_leaves_one_bundle() -> None:
    """After a reload only the bundle in service is shown; the series of the old one is gone."""
    metrics = Metrics()
    for bundle in ("first", "second", "second"):
        metrics.bundle("top", bundle)
    assert [name for name in figures(metrics) if "bundle_info" in name] == [
        "patchedge_bundle_info{camera=top,id=second}"
    ]


def test_totals_of_a_feed_are_counted_once() -> None:
    """Counts that a feed keeps may be handed over as often as one likes; a count never falls."""
    metrics = Metrics()
    for total in (2, 2, 5, 1):
        metrics.dropped_in_all("top", {"newer": total})
        metrics.reconnected_in_all("top", {"newer": total})
    found = figures(metrics)
    assert found["patchedge_frames_dropped_total{camera=top,reason=newer}"] == 5
    assert found["patchedge_reconnects_total{camera=top,reason=newer}"] == 5


def test_every_reason_of_the_program_is_there_from_the_start() -> None:
    """Each reason that some line counts by has a counter at 0 before anything happens."""
    source = "".join(path.read_text(encoding="utf-8") for path in Path(runtime.__path__[0]).rglob("*.py"))
    counted = re.findall(r"(refused|dropped|reconnects)\[\"([\w ]+)\"\] \+=", source)
    counted += [("refused", reason) for reason in re.findall(r"\._cut\(.*, \"([\w ]+)\"\)", source)]
    counted += [("dropped", reason) for reason in re.findall(r"metrics\.dropped\(\w+, \"([\w ]+)\"", source)]
    found = figures(Metrics(["top"]))
    assert len(counted) > 12
    for name, reason in counted:
        assert any(f"_{name}_total{{" in one and f"reason={reason}" in one for one in found), (name, reason)
    stages = re.findall(r"_timed\(\w+, \"(\w+)\"\)", source) + re.findall(r"stages\(\{\"(\w+)\"", source)
    assert set(stages) == set(STAGES)


def test_unknown_is_not_zero() -> None:
    """A frame without a score, and a device without a sensor, show NaN: zero would lie."""
    metrics = Metrics()
    metrics.scored("top", None, 0.01)
    found = figures(metrics)
    for name in ("score{camera=top}", "temperature_celsius", "memory_available_bytes"):
        assert found[f"patchedge_{name}"] != found[f"patchedge_{name}"]


def test_text_is_made_while_others_count() -> None:
    """Reading never disturbs counting in another thread, nor the other way round."""
    metrics, stop = Metrics(), threading.Event()

    def count() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            metrics.bundle("top", str(number))
            metrics.dropped("top", str(number % 50))

    thread = threading.Thread(target=count)
    thread.start()
    try:
        for _ in range(50):
            metrics.text().decode()
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize(
    "name",
    [
        "runtime.monitoring.metrics",
        "runtime.monitoring.http_server",
        "runtime.messaging.control_socket",
        "runtime.monitoring.systemd",
    ],
)
def test_import_brings_nothing_heavy(name: str) -> None:
    """What the main process needs for health loads neither OpenCV nor ONNX Runtime nor numpy."""
    code = f"import sys, {name}; print(sorted({{'cv2', 'onnxruntime', 'hnswlib', 'numpy'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"
