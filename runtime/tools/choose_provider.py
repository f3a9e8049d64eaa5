"""Choose the provider that serves a network on this machine. Each is tried where it may crash or hang."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

import msgspec

from edge_config.bundle.files import Bundle
from edge_config.settings.sections import CPU, Provider
from runtime.inference.load import prepare
from runtime.inference.providers.choice import ProviderChoice, TriedProvider, for_which
from runtime.process.progress import GAUGE
from runtime.tools import try_provider
from runtime.tools.compare_providers import built_in

WORTHWHILE = 0.95
"""Share of the CPU provider's time that another one may take at most to be chosen: smaller differences come and go from
run to run, and the CPU provider is the one that the bundle was made with."""


def choose(
    bundle: Bundle, threads: int, *, rebuild_index: bool = False, child: str = try_provider.__name__
) -> ProviderChoice:
    """Choose the fastest provider whose golden frames are good; the CPU, unless another one is worth it.

    Args:
        bundle: verified.
        threads: of ONNX Runtime, as `limit_threads` returns them.
        rebuild_index: build the index from the bank.
        child: module whose `main` tries providers in a process of its own.

    Raises:
        BundleError: not even the CPU can serve it.
        ProviderUnavailable: it is in bf16, which this machine does not compute.
    """

    def attempt(*providers: Provider) -> dict[str, TriedProvider]:
        with GAUGE.stage(f"try {', '.join(one.name for one in providers)}"):
            tried = try_provider.try_apart(bundle, providers, threads, rebuild_index=rebuild_index, child=child)
            return {one.provider: one for one in tried}

    wanted = built_in(bundle.manifest.features.precision)
    found: dict[str, TriedProvider] = {}
    for provider in wanted:
        found |= attempt(provider)
    if found[CPU.name].why:  # always so where the bundle is in bf16
        prepare(bundle, threads, rebuild_index=rebuild_index)  # raises what is wrong with the bundle
    good = [provider for provider in wanted if not found[provider.name].why]
    if len(good) > 1:
        together = attempt(*good)
        if together[CPU.name].why:  # not one of them is to blame for sure: the CPU serves
            together[CPU.name] = found[CPU.name]
        found |= {
            name: msgspec.structs.replace(one, batch=found[name].batch, batch_ms=found[name].batch_ms)
            for name, one in together.items()
        }
    serving = sorted(found.values(), key=lambda one: bool(one.why))
    chosen = fastest(serving)
    names = [provider.name for provider in wanted]
    behind = [name for name in names[names.index(chosen) :] if name == chosen or not found[name].why]
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return ProviderChoice(for_which(bundle, threads), tuple(behind), now, tuple(serving))


def fastest(measured: Sequence[TriedProvider]) -> str:
    """Return the name of the provider with the shortest time of a frame; the CPU where none is clearly faster."""
    times = {one.provider: one.frame_ms for one in measured if one.frame_ms is not None}
    best = min(times, key=lambda name: times[name], default=CPU.name)
    if CPU.name in times and times[best] > WORTHWHILE * times[CPU.name]:
        return CPU.name
    return best
