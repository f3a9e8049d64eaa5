"""Have a device upload a bundle that it learnt, and adopt such a bundle for others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from edge_config.bundle import files as bundles
from edge_config.bundle import pack
from edge_config.bundle import signature as signatures
from edge_config.bundle.files import Bundle
from edge_config.errors import TargetExists, UsageError
from edge_config.fleet_errors import FleetUnavailable, PackSwapped
from edge_config.wire.fleet import DeviceReport, PullOrder
from runtime.fleet.rollout.operator_keys import OperatorKeys
from runtime.fleet.rollout.stages import cameras_of, is_on
from runtime.fleet.store.interface import Store
from runtime.security.children import check_grown
from runtime.security.signing import public_text
from runtime.security.signing import sign as sign_bundle
from runtime.security.trust import verify

if TYPE_CHECKING:  # libsodium is loaded only where something is signed
    from nacl.signing import SigningKey

EVERY_S = 1.0
"""Interval at which it is looked whether the device has uploaded, seconds."""

PATIENCE_S = 600.0
"""Time-out of an upload, seconds."""


MAX_PULLED_BYTES = 8 << 30
"""Maximum size of what is pulled: as large as any packed bundle."""


@dataclass(frozen=True, slots=True)
class PullWish:
    """What is wanted of a device.

    Attributes:
        device: its name.
        camera: name of the camera; empty: its only one.
        bundle: id of the bundle; empty: the one in service.
        target: the file to write.
        by: name of the operator.
    """

    device: str
    camera: str
    bundle: str
    target: Path
    by: str


async def pull(
    store: Store, keys: OperatorKeys, wish: PullWish, max_bytes: int, patience_s: float = PATIENCE_S
) -> Bundle:
    """Order a device to upload a bundle, wait for it, and write it as a file once it is verified.

    Returns:
        The bundle; its folder is gone.

    Raises:
        UsageError: no such device or camera, or it is not clear which camera.
        TargetExists: the file exists already.
        FleetUnavailable: the device is off, or has not uploaded in time.
        BundleError: what it uploaded must not be served.
        PackSwapped: it is another bundle.
    """
    if wish.target.exists():
        raise TargetExists("exists already", where=str(wish.target), remedy="choose another name")
    now_ms = time.time_ns() // 1_000_000
    camera = _camera(await store.reports(), wish, now_ms)
    order = PullOrder(
        counter=await keys.next_counter(store),
        target=f"device:{wish.device}",
        camera=camera,
        bundle=wish.bundle,
        at_ms=now_ms,
        by=wish.by,
        fleet=keys.fleet,
    )
    await store.order_pull(keys.sign(order))
    until_s = time.monotonic() + patience_s
    with TemporaryDirectory(prefix="patchedge-pull-") as folder:
        part = Path(folder) / "pulled.pack"
        while await store.fetch_pulled(order, part, max_bytes) is None:
            if time.monotonic() > until_s:
                remedy = "look at the log of its agent"
                raise FleetUnavailable(f"{wish.device} uploaded nothing in {patience_s:.0f} s", remedy=remedy)
            await asyncio.sleep(EVERY_S)
        with unpacked(part) as bundle:
            if wish.bundle not in ("", bundle.id):
                raise PackSwapped(f"{wish.device} uploaded bundle {bundle.id[:12]}, not {wish.bundle[:12]}")
            pack.pack(bundle, wish.target)
            return bundle


def _camera(reports: Mapping[str, DeviceReport], wish: PullWish, now_ms: int) -> str:
    report = reports.get(wish.device)
    if report is None:
        raise UsageError(f"no device {wish.device} has ever reported", remedy="`patchedge fleet devices` lists them")
    if not is_on(report, now_ms):
        raise FleetUnavailable(f"{wish.device} is off: it has not reported lately", remedy="pull when it is back")
    cameras = [one.camera for one in cameras_of(report, wish.camera)]
    if len(cameras) != 1:
        there = ", ".join(one.camera for one in report.cameras) or "none"
        what = f"{wish.device} has no camera {wish.camera}" if wish.camera else f"{wish.device} has several cameras"
        raise UsageError(what, where="--camera", remedy=f"there are {there}")
    return cameras[0]


@contextmanager
def unpacked(path: Path) -> Iterator[Bundle]:
    """Unpack a file for the time of the block, verified but for its signature.

    Raises:
        BundleError: it must not be served.
    """
    with TemporaryDirectory(prefix="patchedge-pack-") as folder:
        yield pack.unpack(path, Path(folder) / "pulled.bundle")


async def check_root(store: Store, bundle: Bundle, where: str, max_bytes: int) -> str:
    """Check that a learnt bundle has all of its root, as the store has that; return in words what it changes.

    A device that is not to be trusted could upload anything as learnt from the root, and the operator's signature would
    have all others serve it.

    Raises:
        PackMissing: the store does not have the root.
        BundleNoChild: another graph, or a bank that does not begin with that of the root, for example.
    """
    lineage = bundle.manifest.lineage
    if lineage is None:
        raise UsageError("was not learnt on a device", where=where, remedy="`patchedge fleet assign` takes it as it is")
    info = await store.pack(lineage.root)
    with TemporaryDirectory(prefix="patchedge-root-") as folder:
        file = Path(folder) / "root.pack"
        await store.fetch_pack(info, file, max_bytes)
        with unpacked(file) as root:
            if root.id != lineage.root:
                raise PackSwapped(f"the store has bundle {root.id[:12]} as {lineage.root[:12]}", where=where)
            await asyncio.to_thread(check_grown, bundle, root.path, where)
            old, new = root.manifest.calibration.threshold, bundle.manifest.calibration.threshold
            by = _signer(root)
            signer = f"which {by} has signed" if by else "which nobody has signed"
            return f"it has all of its root {root.id[:12]}, {signer}; threshold {new:.4g}, that of the root {old:.4g}"


def adopt(bundle: Bundle, where: str, reports: Mapping[str, DeviceReport], key: SigningKey, *, signs: bool) -> None:
    """Check that a bundle was learnt from what devices run, and that it is signed by the operator; sign it if asked.

    Args:
        bundle: a bundle in a folder of its own, where its signature may be replaced.
        where: the file that it came from.
        reports: of the devices that are to run it.
        key: the operator's.
        signs: whether to sign it in place of the device that learnt it.

    Raises:
        UsageError: it was learnt from another bundle, or is not signed by the operator and is not to be.
        BundleSignatureInvalid: its signature is not of this bundle.
    """
    lineage = bundle.manifest.lineage
    if lineage is None:
        raise UsageError("was not learnt on a device", where=where, remedy="`patchedge fleet assign` takes it as it is")
    roots = {one.root for report in reports.values() for one in cameras_of(report, lineage.camera)}
    if roots.isdisjoint({lineage.root, lineage.parent, bundle.id}):
        runs = ", ".join(sorted(root[:12] for root in roots if root)) or "nothing"
        raise UsageError(
            f"was learnt from bundle {lineage.root[:12]}, and these devices run {runs}",
            where=where,
            remedy="assign its root first, or name the devices that run it",
        )
    signer = _signer(bundle)
    if signer == public_text(key):
        return
    if not signs:
        by = f"signed by {signer}, the key of a device" if signer else "not signed"
        remedy = f"devices trust what you sign: `--sign` signs it as {public_text(key)}, if you have looked at it"
        raise UsageError(f"is {by}", where=where, remedy=remedy)
    sign_bundle(bundle.path, key, force=True)


def _signer(bundle: Bundle) -> str:
    """Return the key that a bundle is signed by, checked; empty if it is not signed."""
    text = bundles.read_signature(bundle.path)
    if text is None:
        return ""
    where = str(bundle.file(bundles.SIGNATURE))
    found = signatures.decode(text, where)
    verify(bundles.read_manifest(bundle.path), found, where)
    return found.key


def origin(bundle: Bundle) -> str:
    """Return how a bundle grew, in words."""
    lineage = bundle.manifest.lineage
    if lineage is None:
        return f"bundle {bundle.id}, which was not learnt on a device"
    pictures = f"{len(lineage.pictures)} picture{'' if len(lineage.pictures) == 1 else 's'}"
    of = f" of camera {lineage.camera}" if lineage.camera else ""
    return f"bundle {bundle.id}: round {lineage.round}{of} from {lineage.root[:12]}, {pictures} in it"
