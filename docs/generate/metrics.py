"""Metrics, as a running registry shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from docs.generate.describe import sentence, table
from runtime.monitoring.metrics import Metrics

_CAMERA = "top"
_LISTED_ELSEWHERE = {"camera", "id", "version", "state", "socket"}
"""Labels whose values are names, or stand in other places."""

_VALUES: Mapping[str, Mapping[str, str]] = {
    "patchedge_frames_dropped": {
        "newer": "a newer frame came first: the worker is slower than the camera",
        "no slot": "every slot of the shared memory was in use",
        "degraded": "left out at a degradation level above 0",
        "too old": "older than `max_age_ms`",
        "paused": "the camera was paused while the frame was scored",
        "not scored": "it could not be decoded, or the inference worker was lost",
    },
    "patchedge_reconnects": {
        "stalled": "no frame for `stall_ms`",
        "lost": "the stream broke, or the device vanished",
        "absent": "the camera does not open",
        "refused": "the camera refuses user and password",
        "crashed": "the capture process died",
        "memory": "the kernel killed the capture process for want of memory",
        "asked": "reopened on demand; nothing in this version does it",
    },
    "patchedge_worker_restarts": {
        "crashed": "the worker died",
        "memory": "the kernel killed the worker for want of memory",
        "hung": "no answer to a frame for 10 s, or to a bundle for 120 s (20 minutes if the index is rebuilt)",
        "start": "the worker could not be started",
    },
    "patchedge_reloads": {
        "taken": "the new bundle is in service",
        "refused": "the old bundle stays in service; the log says why",
    },
    "patchedge_messages": {
        "score": "score messages",
        "alert": "alert messages",
        "state": "state messages",
        "health": "heartbeats",
        "preview": "previews",
    },
    "patchedge_gaps_reported": {
        "score": "lost score messages",
        "alert": "lost alert messages",
        "state": "lost state messages",
        "health": "lost heartbeats",
        "preview": "lost previews",
        "other": "lost messages of another topic",
    },
    "patchedge_stage_seconds": {
        "inspect": "whether the picture is frozen, dark, blurred or moved",
        "preprocess": "resize and crop",
        "embed": "the network: from the picture to patch features",
        "search": "distances of patches to the bank",
        "score": "from patch distances to the score",
        "detail": "picture, heat map and boxes of an alert",
        "preview": "a preview, after the result of its frame",
    },
    "patchedge_refused": {
        "handshake": "a connection that does not speak ZeroMQ, or whose encryption failed",
        "too many connections": "the connection beyond 128: the oldest silent one is closed",
        "too much said": "`events` only: a subscriber that sent more bytes than any subscription needs",
        "no subscription": "a message to the PUB socket that is no subscription",
        "rate": "too many requests, see [rate limits](requests.md#limits)",
        "role": "the client's key lacks the role that the request needs",
        "malformed": "not a valid request",
        "busy": "too many requests wait for an answer",
        "unanswered": "no answer within 180 s",
        "internal": "a fault inside patchedge, which the log shows",
        "key": "`access`: a client whose key is not in the folder `security.clients`",
    },
}
"""Meaning of the values of a label, by metric; those of the label `socket` are settings sections."""


def _families() -> list[Metric]:
    """Return all metrics of a device whose camera has a state, a score and a bundle."""
    metrics = Metrics([_CAMERA])
    metrics.captured(_CAMERA, 0)
    metrics.scored(_CAMERA, 0.0, 0.0)
    metrics.state(_CAMERA, "live")
    metrics.bundle(_CAMERA, "0" * 64)
    return list(text_string_to_metric_families(metrics.text().decode()))


def _labels(metric: Metric) -> dict[str, list[str]]:
    """Return the values of each label, in their order."""
    found: dict[str, dict[str, None]] = {}
    for sample in metric.samples:
        for label, value in sample.labels.items():
            if label != "le":
                found.setdefault(label, {})[value] = None
    return {label: list(values) for label, values in found.items()}


def _name(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def overview() -> str:
    """Return a table of all metrics."""
    rows = [
        (f"`{_name(one)}`", one.type, ", ".join(f"`{label}`" for label in _labels(one)), one.documentation)
        for one in _families()
    ]
    return table(("Metric", "Type", "Labels", "Meaning"), rows)


def values() -> str:
    """Return a table of the values of a label, for each metric that lists them."""
    parts = []
    for metric in _families():
        for label, found in _labels(metric).items():
            if label not in _LISTED_ELSEWHERE:
                rows = [(f"`{one}`", sentence(_VALUES[metric.name][one])) for one in found]
                parts += [f"### {_name(metric)}", table((f"`{label}`", "Meaning"), rows)]
    return "\n\n".join(parts)


def sockets() -> str:
    """Return the reasons of refusals by socket."""
    (metric,) = (one for one in _families() if one.name == "patchedge_refused")
    pairs = [(sample.labels["socket"], sample.labels["reason"]) for sample in metric.samples]
    rows = [
        (f"`{socket}`", ", ".join(f"`{reason}`" for one, reason in pairs if one == socket))
        for socket in _labels(metric)["socket"]
    ]
    return table(("`socket`", "Possible values of `reason`"), rows)


def buckets() -> str:
    """Return a table of the buckets of the histograms."""
    rows = []
    for metric in _families():
        found = {float(sample.labels["le"]): None for sample in metric.samples if "le" in sample.labels}
        if found:
            rows.append((f"`{_name(metric)}`", ", ".join(f"{bound:g}" for bound in found if bound != float("inf"))))
    return table(("Histogram", "Upper bounds of its buckets, seconds"), rows)


FILLERS: dict[str, Callable[..., str]] = {
    "metrics": overview,
    "label_values": values,
    "refused_by_socket": sockets,
    "buckets": buckets,
}
