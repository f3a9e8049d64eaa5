"""bf16: a graph in float32 that OpenVINO computes in bfloat16, on processors that have instructions for it.

On others OpenVINO computes float32 without a word, or bfloat16 step by step in three times the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnxruntime

from edge_config.errors import ProviderUnavailable
from edge_config.settings.sections import CPU, Provider
from runtime.inference.providers.options import BF16, OPENVINO, complete, hinting
from runtime.process.control_groups import lines

_INSTRUCTIONS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""As the kernel names them; the last one is of ARM, for which there is no wheel with OpenVINO yet."""

_OTHERWISE = "or take a bundle in float32 or int8"


def made_with(precision: str, threads: int) -> tuple[Provider, ...]:
    """Return the provider that bundles of a precision are made with, ready to be started.

    Args:
        precision: of the manifest.
        threads: of ONNX Runtime; 0 means all cores.

    Raises:
        ProviderUnavailable: it is bf16, and this machine does not compute that.
    """
    if precision != BF16:
        return (CPU,)
    require_bf16()
    return (complete(in_bf16(), threads),)


def in_bf16(wanted: Sequence[Provider] = ()) -> Provider:
    """Return OpenVINO in bfloat16, with the other options that it has in `wanted`."""
    own = next((one for one in wanted if one.name == OPENVINO), Provider(name=OPENVINO))
    return hinting(own, BF16)


def require_bf16(where: str = "", root: Path = Path("/"), present: Sequence[str] | None = None) -> None:
    """Refuse what needs bf16 on a machine that does not compute it.

    Args:
        where: what needs it.
        root: of the file system, for /proc/cpuinfo.
        present: names of the providers that are built in; by default as ONNX Runtime says.

    Raises:
        ProviderUnavailable: no OpenVINO, or no instructions for bfloat16.
    """
    present = onnxruntime.get_available_providers() if present is None else present
    if OPENVINO not in present:
        raise ProviderUnavailable(
            f"bf16 needs OpenVINO, which is not in this ONNX Runtime {onnxruntime.__version__}",
            where=where,
            remedy=f"replace onnxruntime by onnxruntime-openvino (extra `openvino`), {_OTHERWISE}",
        )
    if not computes_bf16(root):
        raise ProviderUnavailable(
            "bf16 needs a processor with instructions for bfloat16 (flag avx512_bf16 or amx_bf16), and this has none",
            where=where,
            remedy=f"use another machine, {_OTHERWISE}",
        )


def computes_bf16(root: Path = Path("/")) -> bool:
    """Return whether the processor has instructions for bfloat16."""
    told = (line.partition(":") for line in lines(root / "proc/cpuinfo"))
    return any(
        key.strip() in {"flags", "Features"} and not _INSTRUCTIONS.isdisjoint(value.split()) for key, _, value in told
    )
