"""Which providers are tried for a bundle, and how many pictures at once: what the settings say, or `warm` chose."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from edge_config.bundle.files import Bundle
from edge_config.settings.providers import AUTO
from edge_config.settings.sections import CPU, Provider
from runtime.inference.providers.bf16 import in_bf16, require_bf16
from runtime.inference.providers.choice import for_which, read_choice
from runtime.inference.providers.options import BF16
from runtime.inference.providers.start import PassedOver


class ResolvedProviders(NamedTuple):
    """What is tried.

    Attributes:
        providers: in this order.
        batch: pictures that one run of the graph takes, where the first of them serves.
        passed: what is passed over before any is tried.
    """

    providers: Sequence[Provider]
    batch: int
    passed: list[PassedOver]


def resolve(bundle: Bundle, threads: int, wanted: Sequence[Provider] | Literal["auto"]) -> ResolvedProviders:
    """Return the providers to try; where they are `auto` and nothing was chosen, the CPU, and a line that says so.

    A bundle in bf16 is served by OpenVINO in bfloat16 alone, whatever is wanted.

    Raises:
        ProviderUnavailable: the bundle is in bf16, which this machine does not compute.
    """
    found = _found(bundle, threads, wanted)
    if bundle.manifest.features.precision != BF16:
        return found
    require_bf16(str(bundle.path))
    return found._replace(providers=(in_bf16(found.providers),))


def _found(bundle: Bundle, threads: int, wanted: Sequence[Provider] | Literal["auto"]) -> ResolvedProviders:
    if wanted != AUTO:
        return ResolvedProviders(wanted, 1, [])
    choice, why = read_choice(for_which(bundle, threads))
    if choice is None:
        return ResolvedProviders((CPU,), 1, [PassedOver(AUTO, f"{why}: run `patchedge warm`")])
    return ResolvedProviders([Provider(name=name) for name in choice.providers], choice.serves.batch, [])
