"""What the fleet assigns to this device: verified, counted, and the newest for each camera."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import structlog

from edge_config.errors import PatchedgeError
from edge_config.wire.fleet import Assignment, PullOrder, Signed
from runtime.fleet.agent.core.seen import Desired
from runtime.fleet.store.counters import Counters, slot
from runtime.fleet.store.signatures import FLEET, verify, verify_pull


class Assigned:
    """The assignments that are accepted. Use it from one thread."""

    def __init__(
        self, device: str, groups: Collection[str], operators: Collection[str], counters: Path, fleet: str = FLEET
    ) -> None:
        """Read the counters.

        Args:
            device: name of this device.
            groups: its groups.
            operators: public keys of the operators that may assign.
            counters: file of the highest counters that were accepted.
            fleet: name of the fleet.

        Raises:
            OSError: it cannot be read.
            msgspec.DecodeError: it is damaged.
        """
        self._targets = frozenset({f"device:{device}", *(f"group:{group}" for group in groups)})
        self._operators, self._fleet = operators, fleet
        self._counters = Counters(counters)
        self._of: dict[str, Assignment] = {}
        self.problem = ""

    def take(self, signed: Signed) -> bool:
        """Accept a signed assignment; return whether it is new. One that is refused is logged, and is `problem`."""
        try:
            assignment = verify(signed, self._operators, self._targets, self._fleet)
            is_new = self._counters.check(signed, assignment)
            if is_new:
                self._counters.accept(signed, assignment)
        except PatchedgeError as error:
            self.refuse(error)
            return False
        self._of[slot(assignment)] = assignment
        if is_new:
            self.problem = ""
            structlog.get_logger().info(
                "assigned", counter=assignment.counter, by=assignment.by, root=assignment.root[:12], at=slot(assignment)
            )
        return is_new

    def order(self, signed: Signed) -> PullOrder | None:
        """Return a signed order to upload a bundle that is new; one that is refused is logged, and is `problem`."""
        try:
            order = verify_pull(signed, self._operators, self._targets, self._fleet)
            return order if self._counters.check(signed, order) else None
        except PatchedgeError as error:
            self.refuse(error)
            return None

    def is_done(self, signed: Signed, order: PullOrder) -> None:
        """Remember that an order was done."""
        try:
            self._counters.accept(signed, order)
        except PatchedgeError as error:
            self.refuse(error)

    def refuse(self, error: PatchedgeError) -> None:
        """Note that something was not accepted."""
        if str(error) != self.problem:
            self.problem = str(error)
            structlog.get_logger().warning("an assignment is refused", error=type(error).__name__, reason=str(error))

    def of(self, camera: str) -> Desired:
        """Return the newest of a bundle and the newest of settings of a camera."""
        its = [one for one in self._of.values() if one.camera in {"", camera}]
        roots = [one for one in its if one.root]
        settings = [one for one in its if one.settings is not None]
        return Desired(max(roots, key=_counter, default=None), max(settings, key=_counter, default=None))

    def without_camera(self, cameras: Collection[str]) -> Assignment | None:
        """Return the newest assignment for a camera that this device does not have; None: there is none."""
        lost = [one for one in self._of.values() if one.camera and one.camera not in cameras]
        return max(lost, key=_counter, default=None)


def _counter(assignment: Assignment) -> int:
    return assignment.counter
