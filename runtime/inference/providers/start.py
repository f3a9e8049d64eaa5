"""Which of the wanted providers exist and start, in order of preference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from edge_config.errors import PatchedgeError, ProviderUnavailable
from edge_config.settings.sections import CPU, Provider
from runtime.inference.providers.options import complete, reduced_precision
from runtime.scoring.embed import Embed

_WORDS = 200

Start = Callable[[Path, int, Sequence[Provider]], Embed]
"""Makes a session of a model, with so many threads, on the first of some providers."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A wanted provider that is not used, and the reason."""

    provider: str
    why: str

    def __str__(self) -> str:
        """Return one line for people."""
        return f"{self.provider}: {' '.join(self.why.split())[:_WORDS]}"


def starting(
    model: Path,
    threads: int,
    wanted: Sequence[Provider],
    passed: list[PassedOver],
    *,
    start: Start | None = None,
    present: Sequence[str] | None = None,
) -> Iterator[Embed]:
    """Start the providers one by one, while the caller asks for another.

    Args:
        model: the file.
        threads: of ONNX Runtime; 0 means all cores.
        wanted: the providers.
        passed: those that are not there or do not start are added to it.
        start: starts one; by default an `Embed`.
        present: names of those that are built in; by default as ONNX Runtime says.

    Raises:
        BundleGraphInvalid: not even the CPU takes the file.
        ProviderUnavailable: none of them starts.
    """
    start = start or (lambda model, threads, chain: Embed(model, threads, providers=chain))
    present = onnxruntime.get_available_providers() if present is None else present
    started = False
    for number, provider in enumerate(wanted):
        if provider.name not in present:
            passed.append(PassedOver(provider.name, f"not in this ONNX Runtime {onnxruntime.__version__}"))
            continue
        try:
            rest = [complete(one, threads) for one in wanted[number:] if one.name in present]
            embed = start(model, threads, rest)
        except Exception as error:
            if provider.name == CPU.name:
                raise
            passed.append(PassedOver(provider.name, error.what if isinstance(error, PatchedgeError) else str(error)))
            continue
        started = True
        embed.reduced_precision = reduced_precision(provider)
        yield embed
    if not started:
        why = "; ".join(map(str, passed))
        raise ProviderUnavailable(f"no provider starts ({why})", remedy=f"add {CPU.name} to `providers`")


def building(wanted: Sequence[Provider], present: Sequence[str] | None = None) -> list[str]:
    """Return the names of the wanted and present providers that may compile something at their first start."""
    present = onnxruntime.get_available_providers() if present is None else present
    return [provider.name for provider in wanted if provider.name != CPU.name and provider.name in present]
