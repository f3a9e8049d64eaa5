"""What the credentials of one device may do at the servers: the least that its agent needs, as subjects of NATS.

A device publishes its own reports and uploads, reads packs, and follows its own assignments and those of its groups.
Its replies come in an inbox of its own, so that it cannot read those of others. It can read no reports and no
roll-outs, and can write no assignment and no pack.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import dataclass

from runtime.fleet.store.layout import FleetLayout


@dataclass(frozen=True)
class Permissions:
    """Subjects that a user of the servers may publish to and subscribe to."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]


def inbox_of(device: str) -> str:
    """Return the prefix of the inboxes of a device."""
    return f"_INBOX_{device}"


def device_permissions(layout: FleetLayout, device: str, groups: Collection[str]) -> Permissions:
    """Return what a device may do."""
    desired, packs, pulled = layout.desired, layout.packs.stream, layout.pulled(device)
    keys = (f"device.{device}.>", f"pull.device.{device}.>", *(f"group.{group}.>" for group in groups))
    return Permissions(
        publish=(
            layout.said(device),
            *(f"$JS.API.CONSUMER.CREATE.{desired.stream}.*.{desired.subject(key)}" for key in keys),
            f"$JS.API.CONSUMER.MSG.NEXT.{desired.stream}.*",
            f"$JS.API.STREAM.MSG.GET.{packs}",
            f"$JS.API.DIRECT.GET.{packs}",
            f"$O.{pulled.name}.>",
            f"$JS.API.STREAM.MSG.GET.{pulled.stream}",
            f"$JS.API.STREAM.PURGE.{pulled.stream}",
        ),
        subscribe=(f"{inbox_of(device)}.>",),
    )


def new_seed() -> tuple[str, str]:
    """Return the seed of a new NKey of a user, which is secret, and its public key.

    Raises:
        MissingExtra: the package for NKeys is not installed.
    """
    from runtime.brokers.nats_session import need_nkeys

    need_nkeys()
    import nkeys

    seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    return seed.decode(), nkeys.from_seed(bytearray(seed)).public_key.decode()


def server_user(public: str, permissions: Permissions | None) -> str:
    """Return the entry of a user for the configuration of a nats-server; without permissions it may do all."""
    if permissions is None:
        return f"{{ nkey: {public} }}"
    lines = [f"{{ nkey: {public}, permissions: {{"]
    for kind, subjects in (("publish", permissions.publish), ("subscribe", permissions.subscribe)):
        lines += [f"    {kind}: [", *(f"      {json.dumps(subject)}" for subject in subjects), "    ]"]
    return "\n".join([*lines, "} }"])
