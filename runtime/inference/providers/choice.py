"""`providers: auto`: which provider `patchedge warm` chose for a network on this machine, kept on the disk.

The fastest provider depends on the network, the processor, ONNX Runtime and the number of threads, so a choice counts
only where all of them are the same. A child that was learnt on the device has its parent's network, and so its choice.
"""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from edge_config.bundle import files as bundles
from edge_config.bundle.files import Bundle
from edge_config.saving import put_durably, writing
from edge_config.settings.sections import MAX_BATCH, ProviderName
from runtime.inference.providers.options import BF16
from runtime.process.control_groups import lines
from runtime.state_folder import state_folder

_FOLDER = "providers"
_WHICH = (
    "vendor_id",
    "cpu family",
    "model",
    "model name",
    "stepping",
    "CPU implementer",
    "CPU part",
    "flags",
    "Features",
)


class ForWhich(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a choice is for.

    Attributes:
        network: sha256 of model.onnx; behind it `-bf16` where it is computed in bfloat16.
        software: version of ONNX Runtime, and the providers that are built in.
        processor: sha256 of what the kernel tells of it.
        threads: of ONNX Runtime.
    """

    network: str
    software: str
    processor: str
    threads: int


class TriedProvider(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a provider.

    Attributes:
        provider: its name.
        graph_ms, frame_ms: medians over the same pictures, milliseconds: of the network with its aggregation, and of
            the whole frame from preprocessing to its score; None where it was not measured.
        scores, distances_mean: differences on the golden frames, as of `GoldenCheck`; None where it did not start.
        why: why it cannot serve; empty if it can.
        batch: pictures that one run of the graph takes at most: the more, the faster, as far as it was measured.
        batch_ms: what the graph took for each picture, milliseconds: alone, of two together, of four, as far as was
            tried; empty if the graph takes one at a time, or scores would change.
    """

    provider: str
    graph_ms: float | None = None
    frame_ms: float | None = None
    scores: float | None = None
    distances_mean: float | None = None
    why: str = ""
    batch: Annotated[int, Meta(ge=1, le=MAX_BATCH)] = 1
    batch_ms: tuple[float, ...] = ()


class ProviderChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The choice for a network.

    Attributes:
        of: what it is for.
        providers: names of the one that serves, and of those behind it. Their options are ours.
        batch: pictures that one run of its graph takes at most: the more, the faster, as far as it was measured.
        batch_ms: what its graph took for each picture, milliseconds, one for each number of pictures, by doubling.
        decided: when, UTC (ISO 8601).
        tried: all that are built in.
    """

    of: ForWhich
    providers: Annotated[tuple[ProviderName, ...], Meta(min_length=1)]
    decided: str
    tried: tuple[TriedProvider, ...]

    @property
    def serves(self) -> TriedProvider:
        """What was measured of the provider that serves."""
        first = self.providers[0]
        return next((one for one in self.tried if one.provider == first), TriedProvider(provider=first))


def batches_in_words(choice: ProviderChoice) -> str:
    """Return how many cameras' pictures go together, and why, in words."""
    batch, times = choice.serves.batch, choice.serves.batch_ms
    if not times:
        return "each picture alone: its graph takes one at a time, or with several scores would change"
    took = ", ".join(f"{1 << power}: {ms:.2f} ms" for power, ms in enumerate(times))
    most = f"up to {batch} cameras together" if batch > 1 else "each picture alone: together is no faster"
    return f"{most} (network for each picture, by how many go together: {took})"


def for_which(bundle: Bundle, threads: int) -> ForWhich:
    """Return what a choice for a bundle on this machine is for."""
    import onnxruntime  # `doctor` reads choices in a process that does without it

    software = f"{onnxruntime.__version__} with {', '.join(onnxruntime.get_available_providers())}"
    reduced = "-bf16" if bundle.manifest.features.precision == BF16 else ""  # its model.onnx is that of float32
    return ForWhich(bundle.manifest.files[bundles.MODEL].sha256 + reduced, software, _processor(), threads)


def read_choice(of: ForWhich) -> tuple[ProviderChoice | None, str]:
    """Return the choice; or None, and why there is none."""
    try:
        choice = msgspec.json.decode(_path(of).read_bytes(), type=ProviderChoice)
    except FileNotFoundError:
        return None, "nothing was chosen yet for this network on so many threads"
    except (OSError, msgspec.MsgspecError) as error:
        return None, f"the choice cannot be read ({error})"
    if choice.of == of:
        return choice, ""
    other = "ONNX Runtime" if choice.of.software != of.software else "processor"
    return None, f"the choice of {choice.decided} is for another {other}"


def write_choice(choice: ProviderChoice) -> Path:
    """Keep a choice; a crash leaves the old one whole.

    Raises:
        NotWritten: it cannot be written.
    """
    path = _path(choice.of)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    put_durably(path, msgspec.json.format(msgspec.json.encode(choice)))
    return path


def _path(of: ForWhich) -> Path:
    sha256, *reduced = of.network.split("-")
    return state_folder() / _FOLDER / f"{'-'.join((sha256[:16], *reduced))}-{of.threads}.json"


def _processor() -> str:
    told = (line.partition(":") for line in lines(Path("/proc/cpuinfo")))
    found = {key.strip(): value.strip() for key, _, value in told if key.strip() in _WHICH}
    return hashlib.sha256(msgspec.json.encode([platform.machine(), found], order="sorted")).hexdigest()[:16]
