"""Errors of a fleet: what a device refuses that comes from the servers, and what the servers refuse.

UnavailableError                   69
└── FleetUnavailable                    no server, or a store that nobody has made yet
RolloutStopped                     75   a roll-out stopped: a device refused what it was assigned, or went back
FleetError                         77   something that comes from the servers, and that is refused
├── FleetAccessDenied                   the credentials do not allow this
├── FleetConflict                       somebody else has changed the same entry meanwhile
│   └── RolloutOvertaken                    another command has paused the roll-out, goes on with it, or took it back
├── AssignmentInvalid                   not a signed assignment
├── AssignmentKeyUnknown                signed by a key that is not an operator's
├── AssignmentSignatureInvalid          the signature is of something else
├── AssignmentForOthers                 it names another device, group or fleet
├── AssignmentOld                       its counter is not above the highest that was accepted
├── AssignmentFlood                     more changes in a minute than a device takes
├── CounterRaised                       the counter in the store is far above all that operators signed
├── RolloutForged                       the record of a roll-out is not one that an operator signed
├── PackMissing                         the store does not have this pack, or not all of it
├── PackSwapped                         the bytes of a pack are not those that the assignment names
└── PackTooLarge                        more bytes than the assignment or the settings allow
"""

from __future__ import annotations

from edge_config.errors import PatchedgeError, UnavailableError


class FleetUnavailable(UnavailableError):
    """The servers of the fleet cannot be reached, or nobody has made its store there yet."""


class RolloutStopped(PatchedgeError):
    """A roll-out stopped by itself: a device refused what it was assigned, or went back."""

    exit_code = 75


class FleetError(PatchedgeError):
    """Something of a fleet that is refused."""

    exit_code = 77


class FleetAccessDenied(FleetError):
    """The servers do not allow this with these credentials."""


class FleetConflict(FleetError):
    """Somebody else has changed the same entry of the store meanwhile."""


class RolloutOvertaken(FleetConflict):
    """Another command has paused the roll-out that this one drives, goes on with it, or has taken it back."""


class AssignmentInvalid(FleetError):
    """What the store holds for a device is not a signed assignment."""


class AssignmentKeyUnknown(FleetError):
    """An assignment is signed by a key that is not one of the device's operators."""


class AssignmentSignatureInvalid(FleetError):
    """The signature of an assignment is of other bytes, or by another key than it names."""


class AssignmentForOthers(FleetError):
    """An assignment names another device, a group that the device is not in, or another fleet."""


class AssignmentOld(FleetError):
    """The counter of an assignment is not above the highest that the device has accepted: it is a replay."""


class AssignmentFlood(FleetError):
    """Assignments change more often than a device takes them; it takes the newest only."""


class CounterRaised(FleetError):
    """The counter in the store is far above every assignment that operators signed: somebody else has raised it."""


class RolloutForged(FleetError):
    """The record of a roll-out in the store is not one that an operator signed, so nothing is assigned by it."""


class PackMissing(FleetError):
    """The store does not have this pack, or not all of it."""


class PackSwapped(FleetError):
    """The bytes of a pack in the store are not those that the assignment names."""


class PackTooLarge(FleetError):
    """A pack has more bytes than the assignment or the settings of the device allow."""
