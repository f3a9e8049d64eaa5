"""What an operator signs with, and whose signatures count: what the servers say otherwise is nobody's word.

A command signs what follows from the record of a roll-out, and takes back to what was assigned before. Both come from
the servers. So both must be signed: else whoever can write there would have the operator sign it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from edge_config.fleet_errors import AssignmentKeyUnknown, CounterRaised, FleetError
from edge_config.wire.fleet import Assignment, PullOrder, Rollout, Signed
from runtime.fleet.store.interface import Store
from runtime.fleet.store.layout import FleetLayout, desired_key
from runtime.fleet.store.records import MAX_JUMP, decoded
from runtime.fleet.store.signatures import FLEET, sign, verify, verify_rollout
from runtime.security.signing import public_text

if TYPE_CHECKING:  # libsodium is loaded only where something is signed
    from nacl.signing import SigningKey


class OperatorKeys:
    """The key of an operator, and those of others that they trust.

    Attributes:
        fleet: name of the fleet.
    """

    def __init__(self, key: SigningKey, others: Iterable[str] = (), fleet: str = FLEET) -> None:
        """Take the secret key, and the public ones of others."""
        self._key, self.fleet = key, fleet
        self._trusted = frozenset({public_text(key), *others})
        self._highest: int | None = None

    def sign(self, record: Assignment | PullOrder | Rollout) -> Signed:
        """Return a record, signed."""
        return sign(record, self._key)

    async def next_counter(self, store: Store) -> int:
        """Return a number that nobody else gets, above all before.

        Raises:
            CounterRaised: it is too far above all that was signed: devices that accept it can take few others after it.
        """
        if self._highest is None:
            self._highest = max((one.counter for one in await self._signed(store)), default=0)
        counter = await store.next_counter()
        if counter > self._highest + MAX_JUMP:
            said = f"is {counter} in the store, and {self._highest} in the newest assignment that operators signed"
            remedy = "`patchedge fleet init --counter N`, N above all that `patchedge fleet devices --json` shows"
            raise CounterRaised(said, where="the counter", remedy=remedy)
        self._highest = max(self._highest, counter)
        return counter

    async def assigned(self, store: Store, targets: Collection[str]) -> list[Assignment]:
        """Return what is assigned to some targets.

        Raises:
            AssignmentKeyUnknown: one is signed by somebody that the operator does not know: a device may follow it.
        """
        found = []
        for signed in await store.signed_assignments():
            said = decoded(signed.payload, Assignment)
            if said is None or said.target not in targets:
                continue
            try:
                found.append(verify(signed, self._trusted, targets, self.fleet))
            except AssignmentKeyUnknown as error:
                junk = f"nats kv del {FleetLayout(self.fleet).desired.name} {desired_key(said)}"
                remedy = f"if you trust who that is, add it to `operators` in the settings of the fleet; else `{junk}`"
                raise AssignmentKeyUnknown(error.what, where=f"what {said.target} has", remedy=remedy) from error
            except FleetError:  # forged, and so no device follows it
                continue
        return found

    async def rollout(self, store: Store, name: str) -> tuple[Rollout, int] | None:
        """Return a roll-out and its revision; None: there is none of this id.

        Raises:
            RolloutForged: no operator has signed it.
        """
        found = await store.rollout(name)
        return None if found is None else (verify_rollout(found[0], self._trusted, name), found[1])

    async def put_rollout(self, store: Store, rollout: Rollout, revision: int) -> int:
        """Write a roll-out in place of this revision, 0: it is new; return the new one. Raises `FleetConflict`."""
        return await store.put_rollout(rollout.id, self.sign(rollout), revision)

    async def _signed(self, store: Store) -> list[Assignment]:
        """Return all assignments that operators signed."""
        found = []
        for signed in await store.signed_assignments():
            said = decoded(signed.payload, Assignment)
            with suppress(FleetError):
                if said is not None:
                    found.append(verify(signed, self._trusted, {said.target}, self.fleet))
        return found
