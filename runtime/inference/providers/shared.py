"""Sessions that bundles with the same network share: one plan, one set of weights, threads and scratch memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from weakref import WeakValueDictionary

import msgspec

from edge_config.settings.sections import Provider
from runtime.inference.providers.start import Start
from runtime.scoring.embed import Embed
from runtime.scoring.graph_session import GraphSession
from runtime.scoring.tiles import Stitch


class SharedSessions:
    """Starts each network once on the same providers, for as long as any bundle has it. For one thread at a time."""

    def __init__(self) -> None:
        """Begin with none."""
        self._started: WeakValueDictionary[tuple[str, int, bytes, bool], GraphSession] = WeakValueDictionary()

    def start(self, network: str, stitch: Stitch | None) -> Start:
        """Return what starts a network, or takes the session that there is.

        Args:
            network: sha256 of its file, which was verified.
            stitch: of pictures in tiles.
        """

        def start(model: Path, threads: int, chain: Sequence[Provider]) -> Embed:
            key = network, threads, msgspec.json.encode(chain), stitch is None
            embed = Embed(model, threads, providers=chain, stitch=stitch, session=self._started.get(key))
            self._started[key] = embed.session
            return embed

        return start
