"""One contender of `peers.py`, in a process of its own: python -m tests.programs.bench.peer_contender JSON.

So the start and the memory of each are its own, and one of ours may run on another ONNX Runtime. It scores the first
picture, answers, and then scores what each line on stdin lists. It imports what it needs and nothing else, as a program
that serves it would.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2

from tests.programs.bench import peer_anomalib

Run = Callable[[Any], float | None]

CPU, OPENVINO = "CPUExecutionProvider", "OpenVINOExecutionProvider"


def main() -> None:
    """Start, and answer until stdin ends: an object of milliseconds, scores and memory for each line of places."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    asked = json.loads(sys.argv[1])
    cv2.setNumThreads(asked["threads"])
    run, in_force = KINDS[asked["kind"]](asked)
    prepare = peer_anomalib.to_tensor if asked["kind"].startswith("network") else lambda image, _: image
    for places in _lines():
        images = [prepare(cv2.imread(asked["pictures"][place]), asked["size"]) for place in places]
        if len(images) > 1:
            run(images[-1])  # wakes its threads; another picture than the first that counts
        taken, scores = [], []
        for image in images:
            start = time.perf_counter()
            scores.append(run(image))
            taken.append((time.perf_counter() - start) * 1e3)
        found = {"ms": taken, "scores": scores, "memory_mb": _peak_mb(), "in_force": in_force}
        print(json.dumps(found), file=answers, flush=True)


def _lines() -> Iterator[list[int]]:
    """Yield the first picture, then what is asked for."""
    yield [0]
    yield from map(json.loads, sys.stdin)


def _peak_mb() -> float:
    """Return the largest resident memory of this process so far, MB."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    assert found is not None
    return int(found.group(1)) * 1024 / 1e6


def _ours(asked: dict[str, Any]) -> tuple[Run, str]:
    """Load a bundle as the worker of a device does."""
    import onnxruntime

    from edge_config.settings.sections import Provider
    from runtime.inference.load import load
    from runtime.process.threads import limit_threads
    from runtime.scoring.score import anomaly_map

    threads = limit_threads(asked["threads"], blas=1)
    bundle, scorer = load(asked["path"], threads, providers=(Provider(name=asked["provider"]),))
    threshold = {"alert": bundle.manifest.calibration.threshold, "map": 0.0}.get(asked["makes"])

    def run(image: Any) -> float:
        features = scorer.embed(scorer.preprocess(image))
        score = scorer.judge(features)
        if threshold is not None:
            scorer.search.refine(features, score.found, threshold)
            anomaly_map(score.distances, scorer.grid, (asked["size"], asked["size"]))
        return float(score.value)

    return run, f"{scorer.provider} of ONNX Runtime {onnxruntime.__version__}"


def _network_onnx(asked: dict[str, Any]) -> tuple[Run, str]:
    graph = peer_anomalib.session(Path(asked["path"]), asked["threads"], spin=False)  # as patchedge runs its graph
    name = graph.get_inputs()[0].name
    return lambda tensor: _none(graph.run(None, {name: tensor})), CPU


def _network_openvino(asked: dict[str, Any]) -> tuple[Run, str]:
    compiled, precision = peer_anomalib.compile_openvino(Path(asked["path"]), asked["threads"], asked["precision"])
    return lambda tensor: _none(compiled(tensor)), precision


def _torch(asked: dict[str, Any]) -> tuple[Run, str]:
    import torch
    from safetensors.numpy import load_file

    torch.set_num_threads(asked["threads"])
    peer_anomalib.import_torchvision()
    network, bank = peer_anomalib.NETWORKS[asked["network"]], load_file(asked["bank"])["bank"]
    with_map = asked["makes"] == "map"
    peer = peer_anomalib.make_peer(network, Path(asked["path"]), bank, asked["size"], with_map=with_map)
    return peer_anomalib.run_torch(peer, asked["size"]), "float32"


def _onnx(asked: dict[str, Any]) -> tuple[Run, str]:
    return peer_anomalib.run_onnx(Path(asked["path"]), asked["size"], asked["threads"]), CPU


def _openvino(asked: dict[str, Any]) -> tuple[Run, str]:
    compiled, precision = peer_anomalib.compile_openvino(Path(asked["path"]), asked["threads"], asked["precision"])
    return peer_anomalib.run_openvino(compiled, asked["size"]), precision


def _inferencer(asked: dict[str, Any]) -> tuple[Run, str]:
    peer_anomalib.import_torchvision()
    return peer_anomalib.run_inferencer(Path(asked["path"]), asked["size"], asked["threads"])


def _none(_: object) -> None:
    """Drop what is no score."""


KINDS: dict[str, Callable[[dict[str, Any]], tuple[Run, str]]] = {
    "patchedge": _ours,
    "network-onnx": _network_onnx,
    "network-openvino": _network_openvino,
    "anomalib-torch": _torch,
    "anomalib-onnx": _onnx,
    "anomalib-openvino": _openvino,
    "anomalib-inferencer": _inferencer,
}
"""How each is loaded: what scores a picture, and the provider or precision that is in force."""


if __name__ == "__main__":
    peer_anomalib.quieten()
    main()
