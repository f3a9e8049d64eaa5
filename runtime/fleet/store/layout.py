"""Names of streams, buckets, keys and subjects of a fleet's store. A prefix keeps fleets apart on the same servers."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from edge_config.wire.fleet import Assignment, PullOrder

ALL_CAMERAS = "="
"""Stands in a key for the name of a camera; no camera has this name."""


@dataclass(frozen=True, slots=True)
class ObjectBucket:
    """An object store, as every NATS client knows it."""

    name: str

    @property
    def stream(self) -> str:
        """Its stream."""
        return f"OBJ_{self.name}"

    def record(self, name: str) -> str:
        """Return the subject of the record of an object."""
        return f"$O.{self.name}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"

    def chunks(self, nuid: str) -> str:
        """Return the subject of the chunks of an object."""
        return f"$O.{self.name}.C.{nuid}"


@dataclass(frozen=True, slots=True)
class KeyBucket:
    """A key-value bucket, as every NATS client knows it."""

    name: str

    @property
    def stream(self) -> str:
        """Its stream."""
        return f"KV_{self.name}"

    def subject(self, key: str) -> str:
        """Return the subject of a key, or of a pattern of keys."""
        return f"$KV.{self.name}.{key}"

    def key(self, subject: str) -> str:
        """Return the key of a subject."""
        return subject.removeprefix(f"$KV.{self.name}.")


@dataclass(frozen=True, slots=True)
class FleetLayout:
    """All names that begin with a prefix."""

    prefix: str

    @property
    def packs(self) -> ObjectBucket:
        """Packed bundles."""
        return ObjectBucket(f"{self.prefix}-packs")

    @property
    def desired(self) -> KeyBucket:
        """What devices should run, orders to upload, and the last counter."""
        return KeyBucket(f"{self.prefix}-desired")

    @property
    def rollouts(self) -> KeyBucket:
        """Roll-outs by id."""
        return KeyBucket(f"{self.prefix}-rollouts")

    @property
    def said_stream(self) -> str:
        """The stream of reports."""
        return f"{self.prefix}-said"

    def pulled(self, device: str) -> ObjectBucket:
        """Return the object store of what a device uploads."""
        return ObjectBucket(f"{self.prefix}-pulled-{device}")

    def said(self, device: str) -> str:
        """Return the subject of the reports of a device; `*` stands for all devices."""
        return f"{self.prefix}.fleet.said.{device}"


def desired_key(record: Assignment | PullOrder) -> str:
    """Return the key of an assignment or an order: a key for each slot (see `counters.py`)."""
    target = record.target.replace(":", ".")
    if isinstance(record, PullOrder):
        return f"pull.{target}.{record.camera}"
    return f"{target}.{record.camera or ALL_CAMERAS}.{'root' if record.root else 'settings'}"


def device_of(order: PullOrder) -> str:
    """Return the name of the device that an order is for."""
    return order.target.partition(":")[2]


def pulled_name(order: PullOrder) -> str:
    """Return the name of the object that answers an order."""
    return f"{order.camera}.{order.counter}"
