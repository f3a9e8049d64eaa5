"""Learnt bundles: which are children of the bundle that the settings name, and by which key they may be signed.

A device signs what it learns with a key of its own. That key is weaker than those of the workshop: what it has signed
is served only if the bundle that the settings name is trusted, is the root of the learnt one, has the same graph, and
is still whole in it: bank and measure of a child begin with those of its root. Where the settings, or a fleet, name a
bundle that was learnt itself, that is true of the part that it has from its own root.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from edge_config.bundle import files as bundles
from edge_config.bundle import manifest as manifests
from edge_config.bundle import signature as signatures
from edge_config.bundle.files import Bundle
from edge_config.bundle.manifest import Manifest
from edge_config.errors import BundleKeyUnknown, BundleNoChild
from edge_config.settings.sections import Trust
from runtime.security.trust import Judge, verify

_SAME = ("preprocessing", "features", "scoring", "regions", "ignore", "regions_hw", "format_version")
"""Parts of the manifest that a child has from its root."""


def read_child(path: str | Path, root: str | Path, trust: Trust, device_key: str = "") -> Bundle:
    """Read a learnt bundle if it is to be trusted.

    Args:
        path: of the bundle.
        root: of the bundle that the settings name.
        trust: which signatures are trusted.
        device_key: public key that this device signs with; empty if it has none.

    Raises:
        BundleError: a subclass for each thing that can be wrong with it.
        SettingsError: a key file is missing.
    """
    root = Path(root)
    found = bundles.read(path, ChildJudge(trust, root, device_key), index=not trust.rebuild_index)
    check_grown(found, root, str(path))
    return found


def check_grown(found: Bundle, root: Path, where: str) -> None:
    """Check that a bundle grew from the one at `root`, and has all of it; nobody's signature is looked at.

    Raises:
        BundleNoChild: it did not, or has not.
        BundleError: the root cannot be read.
    """
    check_child(found.manifest, root, where)
    _check_arrays(found, root, where)


class ChildJudge:
    """Refuses learnt bundles that the settings do not allow; a `SignatureCheck`."""

    def __init__(self, trust: Trust, root: Path, device_key: str) -> None:
        """Read the keys.

        Raises:
            SettingsError: one of them cannot be used.
        """
        self._judge = Judge(trust)
        self._root = root
        self._device_key = device_key

    def __call__(self, manifest: bytes, signature: bytes | None, where: str) -> None:
        """Check the signature of a learnt bundle, and first that of its root.

        Raises:
            BundleError: as `Judge` does.
        """
        self._judge(bundles.read_manifest(self._root), bundles.read_signature(self._root), str(self._root))
        if signature is not None and self._device_key:
            found = signatures.decode(signature, where)
            if found.key == self._device_key:
                verify(manifest, found, where)
                return
        try:
            self._judge(manifest, signature, where)
        except BundleKeyUnknown as error:
            remedy = "this device trusts what it has learnt itself: set `trust.device_key` to the key that signed it"
            raise BundleKeyUnknown(error.what, where=where, remedy=remedy) from error


def check_child(found: Manifest, root: Path, where: str) -> str:
    """Check that a manifest is that of a child of the bundle at `root`; return the id of that.

    Raises:
        BundleNoChild: it is of another root, or has another graph, preprocessing or score.
        BundleError: the root cannot be read.
    """
    text = bundles.read_manifest(root)
    whose = manifests.decode(text, str(root / bundles.MANIFEST))
    root_id = hashlib.sha256(text).hexdigest()
    if found.lineage is None:
        raise BundleNoChild("was not learnt on a device", where=where, remedy="name it in the settings as `bundle`")
    if found.lineage.root != (whose.lineage.root if whose.lineage else root_id):
        said = f"was learnt from bundle {found.lineage.root[:12]}, its root should be {root_id[:12]}"
        raise BundleNoChild(said, where=where, remedy="learn again")
    if found.files[bundles.MODEL] != whose.files[bundles.MODEL]:
        raise BundleNoChild("has another graph than its root", where=where)
    for part in _SAME:
        if msgspec.to_builtins(getattr(found, part)) != msgspec.to_builtins(getattr(whose, part)):
            raise BundleNoChild(f"differs from its root in `{part}`", where=where)
    return root_id


def _check_arrays(found: Bundle, root: Path, where: str) -> None:
    """Check that bank and measure begin with those of the root: then no distance is larger than by the root alone.

    Raises:
        BundleNoChild: they do not.
    """
    import numpy as np

    from edge_config.bundle import arrays

    whose = manifests.decode(bundles.read_manifest(root), str(root / bundles.MANIFEST))
    fitted = whose.lineage.root_entries if whose.lineage else whose.coreset.size
    for name in (bundles.BANK, bundles.MEASURE):
        old, new = arrays.read(root / name), arrays.read(found.file(name))
        for key, all_of_it in old.items():
            was = all_of_it[:fitted] if len(all_of_it) == whose.coreset.size else all_of_it
            now = new.get(key, np.empty(0))
            if now.dtype != was.dtype or not np.array_equal(now[: len(was)], was):
                raise BundleNoChild(f"its `{key}` does not begin with that of its root", where=where)
