"""Do all processes compute the same? A few drawn pictures through the network and a search show it at the start.

Processors of different kinds add in another order. Their features differ in the last bits, and so would the bundles.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from edge_config.errors import UsageError
from runtime.learning.bank.chosen import norms_of
from runtime.learning.parts.portable import PortableNetwork
from runtime.search.full import distances

PICTURES = 2
SIDE = 1.25  # of a drawn picture, to that of the network's input: it is resized


@dataclass(frozen=True, slots=True)
class KindProbe:
    """What a process computes.

    Attributes:
        digest: of the numbers.
        kind: of its processor and packages.
        where: address of the worker; empty for this process.
    """

    digest: str
    kind: str
    where: str = ""

    @classmethod
    def of(cls, network: PortableNetwork, where: str = "") -> KindProbe:
        """Compute some numbers here."""
        random = np.random.default_rng(0)
        one = network.network
        height, width = (round(SIDE * side) for side in one.spec.crop_hw)
        same = hashlib.blake2b()
        for _ in range(PICTURES):
            rough = random.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
            picture = cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC)
            features = one.embed(one.preprocess(np.asarray(picture, np.uint8)))
            matrix = random.standard_normal((features.shape[1], 128)).astype(np.float32)
            points = features @ matrix
            apart = distances(features[::-1], features)
            for values in (features, points, norms_of(points), apart):
                same.update(np.ascontiguousarray(values).data)
        return cls(same.hexdigest(), _kind(), where)


def refuse_mix(probes: Sequence[KindProbe]) -> None:
    """Refuse processes that compute differently.

    Raises:
        UsageError: they do.
    """
    first = probes[0]
    other = next((one for one in probes if one.digest != first.digest), None)
    if other is None:
        return
    named = " and ".join(f"{one.where or 'this process'} ({one.kind})" for one in (first, other))
    raise UsageError(
        f"these compute differently: {named}",
        remedy="use workers of one kind, with the same packages; or give --mixed, and the id of the bundle may differ",
    )


def _kind() -> str:
    """Name processor and packages."""
    model = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.partition(":")[2] for line in info.read_text(errors="replace").splitlines() if "model name" in line
        ]
        model = names[0].strip() if names else model
    return f"{model}, numpy {np.__version__}, onnxruntime {onnxruntime.__version__}, opencv {cv2.__version__}"
