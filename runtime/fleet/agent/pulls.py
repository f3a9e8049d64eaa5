"""Orders to upload a bundle of this device: what it learnt, for other devices to adopt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import structlog

from edge_config.errors import PatchedgeError, UsageError
from edge_config.fleet_errors import PackTooLarge
from edge_config.settings.device import Settings
from edge_config.wire.fleet import PullOrder
from runtime.fleet.agent.core.seen import CameraSeen
from runtime.fleet.agent.desired import Assigned
from runtime.fleet.agent.runtime import RuntimeAway
from runtime.fleet.store.interface import FleetStoreApi
from runtime.teaching.picture import learning_folder
from runtime.versions.shelf import Shelf
from runtime.versions.shelves import id_at


class BundlePlaces:
    """Where bundles of this device are."""

    def __init__(self, settings: Settings, fetched: Path) -> None:
        """Take the settings of the device, and the folder of bundles that were fetched."""
        self._settings, self._fetched = settings, fetched

    def find(self, camera: str, bundle: str) -> Path:
        """Return the path of a bundle of a camera.

        Raises:
            UsageError: it is not here.
        """
        for path in self._places(camera, bundle):
            if id_at(str(path)) == bundle:
                return path
        raise UsageError(f"camera `{camera}` has no bundle {bundle[:12]}", where=self._settings.device)

    def _places(self, camera: str, bundle: str) -> Iterator[Path]:
        its = self._settings.cameras.get(camera)
        if its is not None:
            yield Shelf(learning_folder(self._settings), camera).path(bundle)
            yield self._fetched / bundle
            yield Path(its.bundle or self._settings.bundle)


class Pulls:
    """Does what orders say, one after the other."""

    def __init__(
        self,
        device: str,
        store: FleetStoreApi,
        assigned: Assigned,
        places: BundlePlaces,
        max_bytes: int,
        look: Callable[[], Awaitable[Mapping[str, CameraSeen]]],
    ) -> None:
        """Take the parts.

        Args:
            device: name of this device in the fleet.
            store: where bundles go.
            assigned: verifies orders, and remembers those that were done.
            places: where bundles are.
            max_bytes: maximum size of a bundle.
            look: returns the cameras as they are now; raises `RuntimeAway`.
        """
        self._device, self._store, self._assigned = device, store, assigned
        self._places, self._max_bytes, self._look = places, max_bytes, look

    async def run(self) -> None:
        """Go on until it is cancelled."""
        async for signed in self._store.watch_pulls(self._device, self._assigned.refuse):
            order = self._assigned.order(signed)
            if order is None:
                continue
            try:
                await self._upload(order)
            except (PatchedgeError, OSError) as error:  # not done again: another order is
                structlog.get_logger().warning("a bundle could not be uploaded", camera=order.camera, reason=str(error))
                self._assigned.problem = f"order {order.counter} to upload a bundle: {error}"
            self._assigned.is_done(signed, order)

    async def _upload(self, order: PullOrder) -> None:
        bundle = order.bundle or await self._serving(order.camera)
        path = self._places.find(order.camera, bundle)
        size = sum(file.stat().st_size for file in path.iterdir())
        if size > self._max_bytes:
            raise PackTooLarge(f"{size >> 20} MB; `fleet.max_mb` allows {self._max_bytes >> 20}", where=str(path))
        await self._store.put_pulled(order, path)
        structlog.get_logger().info("bundle uploaded", camera=order.camera, bundle=bundle[:12], by=order.by)

    async def _serving(self, camera: str) -> str:
        """Return what serves now: the agent's own look may be older than what the device has just learnt."""
        try:
            seen = (await self._look()).get(camera)
        except RuntimeAway as error:
            raise UsageError(str(error), where=self._device) from error
        if seen is None or not seen.active:
            raise UsageError(f"nothing serves at camera `{camera}`", where=self._device)
        return seen.active
