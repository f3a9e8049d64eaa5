"""What agents and roll-outs use of the store; `FleetStore` is the real one, tests have one in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from edge_config.errors import PatchedgeError
from edge_config.wire.fleet import Assignment, DeviceReport, PullOrder, Rollout, Signed

Refused = Callable[[PatchedgeError], None]
"""Is called with what was refused of the store's entries for a device, while it is watched."""


@dataclass(frozen=True, slots=True)
class PackInfo:
    """A packed bundle in the store.

    Attributes:
        bundle: id of the bundle.
        sha256: sha256 of the pack, 64 hex digits.
        size: its size, bytes.
    """

    bundle: str
    sha256: str
    size: int


class FleetStoreApi(Protocol):
    """The store of a fleet.

    Every method waits while the servers are away, except where it says otherwise. All raise `FleetAccessDenied` if the
    credentials do not allow it, and `FleetUnavailable` if nobody has made the store at these servers.
    """

    async def put_pack(self, path: Path, *, replace: bool = False) -> PackInfo:
        """Store a packed bundle, or a bundle, which is packed first; what is there already is not sent again.

        Another pack of the same bundle is replaced only with `replace`; else `FleetConflict` is raised.
        """

    async def pack(self, bundle: str) -> PackInfo:
        """Return what the store knows about the pack of a bundle. Raises `PackMissing`."""

    async def fetch_pack(
        self, wanted: PackInfo, target: Path, max_bytes: int, progress: Callable[[int], None] | None = None
    ) -> int:
        """Download a pack into a file, going on where an earlier try has ended.

        Args:
            wanted: as the assignment says.
            target: the file; until it is whole and verified it has the name `target` + `.part`.
            max_bytes: larger packs are refused.
            progress: is called with the number of bytes of each piece.

        Returns:
            The number of bytes that were downloaded.

        Raises:
            PackTooLarge: it is larger than `wanted` or `max_bytes`.
            PackMissing: the store does not have it.
            PackSwapped: its bytes are others than wanted; nothing is left behind.
            NotWritten: the disk does not take it.
        """

    def watch_desired(
        self, device: str, groups: Collection[str], refused: Refused | None = None
    ) -> AsyncIterator[Signed]:
        """Yield what is assigned to a device and to its groups: first all that there is, then each change.

        After the servers were away all of it is yielded again. There may be several at a time: a device, each of its
        groups, each of its cameras, bundles and settings have a slot of their own (`slot` in `counters.py`), so that
        an assignment of settings never hides one of a bundle. For a camera the highest counter with a `root` gives the
        bundle, and the highest with `settings` the settings. Nothing is verified yet. Of a flood of changes the newest
        of each slot is yielded, and `refused` is told; without it refusals are logged.
        """

    def watch_pulls(self, device: str, refused: Refused | None = None) -> AsyncIterator[Signed]:
        """Yield orders to this device to upload a bundle, as `watch_desired` does with assignments."""

    async def say(self, report: DeviceReport) -> None:
        """Publish the report of a device."""

    async def reports(self) -> dict[str, DeviceReport]:
        """Return the newest report of each device, with the time at which the servers got it."""

    def watch_reports(self) -> AsyncIterator[DeviceReport]:
        """Yield the newest report of each device, then all that follow."""

    async def next_counter(self) -> int:
        """Return a number that nobody else gets, above all before."""

    async def assign(self, signed: Signed) -> None:
        """Publish a signed assignment in its slot. Raises `FleetConflict` if a newer one is there."""

    async def assigned(self) -> list[Assignment]:
        """Return all assignments that there are, by counter, to be shown: signatures are not checked."""

    async def signed_assignments(self) -> list[Signed]:
        """Return all assignments that there are, as they were signed."""

    async def order_pull(self, signed: Signed) -> None:
        """Publish a signed order to upload a bundle."""

    async def put_pulled(self, order: PullOrder, path: Path) -> PackInfo:
        """Upload a bundle of this device, packed, as it was ordered."""

    async def fetch_pulled(self, order: PullOrder, target: Path, max_bytes: int) -> PackInfo | None:
        """Download what a device has uploaded for an order; None: it has not yet. Errors as those of `fetch_pack`."""

    async def rollout(self, rollout: str) -> tuple[Signed, int] | None:
        """Return a roll-out as it was signed, and its revision; None: there is none. Raises `RolloutForged`."""

    async def put_rollout(self, rollout: str, signed: Signed, revision: int = 0) -> int:
        """Write a signed roll-out in place of this revision, 0: it is new; return the new one.

        Raises `FleetConflict` if another revision is there.
        """

    async def rollouts(self) -> dict[str, Rollout]:
        """Return all roll-outs, by id, to be shown: signatures are not checked."""


Store: TypeAlias = FleetStoreApi
"""What code of the fleet calls it."""
