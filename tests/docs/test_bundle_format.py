"""The numbered rules of docs/reference/bundle.md: true of a bundle, and enough to write one.

Bundles are read and written here with json, numpy, safetensors, hnswlib and PyNaCl alone, as another program would.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hnswlib
import numpy as np
import onnxruntime
import pytest
from nacl.signing import SigningKey
from safetensors.numpy import load_file, save_file

from docs.generate.errors import descendants
from edge_config import errors
from edge_config.bundle import files as bundles
from edge_config.bundle import pack
from edge_config.settings.sections import Trust
from runtime.inference.load import load
from runtime.security.trust import read

PAGE = (Path(__file__).parents[2] / "docs/reference/bundle.md").read_text(encoding="utf-8")
REQUIRED, OPTIONAL = "yes", "no"
MIB = 1 << 20


def rows(heading: str) -> list[list[str]]:
    """Return the rows of the tables under a heading, their cells without backticks."""
    text = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert text
    lines = [line for line in text[1].splitlines() if line.startswith("| ") and not line.startswith("| --")]
    return [[cell.strip().replace("`", "") for cell in line.strip("|").split(" | ")] for line in lines]


def manifest_of(bundle: Path) -> dict[str, Any]:
    return json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))


def sealed(tree: dict[str, Any]) -> bytes:
    """Write a manifest as rule M4 says."""
    tree["features"]["weights_sha256"] = "1" * 64  # no earlier value may be 64 zeros, as it is in the tiny bundle
    text = json.dumps({**tree, "manifest_sha256": "0" * 64}, indent=1, sort_keys=True)
    return text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest(), 1).encode()


def test_files_are_those_of_the_table(tiny_bundle: Path) -> None:
    """F2, F3, F5: a bundle has the required files of the table, others at most beside them, and the sizes hold."""
    table = {name: required for name, _, required in rows("Files")[1:]}
    required = {name for name, one in table.items() if one == REQUIRED}
    assert set(table) == bundles.NAMES
    present = {path.name for path in tiny_bundle.iterdir()}
    assert required <= present <= set(table)
    assert set(table) - required == {name for name, one in table.items() if one == OPTIONAL}
    assert (bundles.MAX_MANIFEST_BYTES, bundles.MAX_GOLDEN_BYTES) == (MIB, 64 * MIB)


def test_manifest_names_every_file(tiny_bundle: Path) -> None:
    """M2 to M5: the version, sizes and hashes, the hash of the manifest itself, and the id of the bundle."""
    tree, text = manifest_of(tiny_bundle), (tiny_bundle / "manifest.json").read_bytes()
    assert tree["format_version"] == 5
    others = {path.name: path.read_bytes() for path in tiny_bundle.iterdir() if path.name != "manifest.json"}
    found = {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in others.items()}
    assert {name: (one["size"], one["sha256"]) for name, one in tree["files"].items()} == found
    own = tree["manifest_sha256"].encode()
    assert hashlib.sha256(text.replace(own, b"0" * 64)).hexdigest().encode() == own
    assert bundles.read(tiny_bundle).id == hashlib.sha256(text).hexdigest()


def test_arrays_are_those_of_the_table(tiny_bundle: Path) -> None:
    """A1 to A6, A9: names, types and shapes of the arrays in the headers of the safetensors files, and their values."""
    tree = manifest_of(tiny_bundle)
    grid = tree["features"]["grid_hw"]
    assert grid == [-(-side // tree["features"]["stride"]) for side in tree["features"]["map_hw"]]  # M6
    sizes = {"k": tree["coreset"]["size"], "D": tree["features"]["dimension"], "b": tree["scoring"]["b"]}
    sizes |= {"p": grid[0] * grid[1], "frames": 2}
    expected: dict[str, dict[str, tuple[str, list[int | None]]]] = {}
    for file, names, kind, shape, _ in rows("Arrays")[1:]:
        for name in names.removesuffix(", ...").split(", "):
            sides = [int(side) if side.isdecimal() else sizes.get(side) for side in shape.strip("[]").split(", ")]
            expected.setdefault(file, {})[name] = kind, sides
    assert tree["features"]["position_means"] == 0
    del expected["measure"]["offset"]
    for file, arrays in expected.items():
        data = (tiny_bundle / f"{file}.safetensors").read_bytes()
        (length,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + length])
        assert set(header) - {"__metadata__"} == set(arrays)
        for name, (kind, sides) in arrays.items():
            assert header[name]["dtype"] == kind
            shape = header[name]["shape"]
            assert len(shape) == len(sides)
            assert all(wanted in {None, side} for wanted, side in zip(sides, shape, strict=True)), name
    bank = load_file(tiny_bundle / "bank.safetensors")["bank"]
    neighbours = load_file(tiny_bundle / "neighbours.safetensors")["neighbours"]
    golden = load_file(tiny_bundle / "golden.safetensors")
    measure = load_file(tiny_bundle / "measure.safetensors")
    assert np.isfinite(bank).all()
    assert (tree["features"]["scaling"], tree["coreset"]["spacing"]) == ("none", "none")
    assert (measure["scale"] == 1).all()
    assert (measure["spacing"] == 0).all()
    assert measure["mean"] == 1
    assert (neighbours[:, 0] == np.arange(len(bank))).all()
    assert ((neighbours >= 0) & (neighbours < len(bank))).all()
    assert (golden["decided"] < [sizes["p"], sizes["k"]]).all()
    assert min(golden["scene_reference"].shape) >= 16


def test_network_and_index_are_as_the_page_says(tiny_bundle: Path) -> None:
    """N1, I1 to I3: inputs and outputs of the graph; elements, labels, vectors and links of the index."""
    tree = manifest_of(tiny_bundle)
    height, width = tree["preprocessing"]["crop_hw"]
    session = onnxruntime.InferenceSession(str(tiny_bundle / "model.onnx"), providers=["CPUExecutionProvider"])
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    assert (taken.type, taken.shape) == ("tensor(uint8)", [1, height, width, 3])
    rows_, columns = tree["features"]["grid_hw"]
    assert (given.type, given.shape) == ("tensor(float)", [rows_ * columns, tree["features"]["dimension"]])
    bank = load_file(tiny_bundle / "bank.safetensors")["bank"]
    index = hnswlib.Index(space="l2", dim=bank.shape[1])
    index.load_index(str(tiny_bundle / "index.hnsw"))
    assert (index.max_elements, index.element_count, index.M) == (len(bank), len(bank), tree["index"]["M"])
    assert np.array_equal(np.array(index.get_items(np.arange(len(bank)))), bank)


def test_a_bundle_written_by_the_page_is_served(tiny_bundle: Path, tmp_path: Path) -> None:
    """Arrays, hashes and manifest that were written by the rules alone make a bundle that loads, in another layout."""
    bundle = tmp_path / "by-hand.bundle"
    bundle.mkdir()
    for name in ("model.onnx", "index.hnsw"):
        (bundle / name).write_bytes((tiny_bundle / name).read_bytes())
    for name in ("bank", "neighbours", "measure", "golden"):
        save_file(load_file(tiny_bundle / f"{name}.safetensors"), bundle / f"{name}.safetensors")
    tree = manifest_of(tiny_bundle)
    tree["files"] = {
        path.name: {"size": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in bundle.iterdir()
    }
    (bundle / "manifest.json").write_bytes(sealed(tree))
    found, _ = load(bundle, 1)
    assert found.id == hashlib.sha256((bundle / "manifest.json").read_bytes()).hexdigest()


def test_a_signature_written_by_the_page_is_taken(tiny_bundle: Path, tmp_path: Path) -> None:
    """S1 to S4: a line that was signed by the rules is taken by a device that trusts its key, and by no other."""
    key = SigningKey(b"p" * 32)
    bundle = tmp_path / "signed.bundle"
    bundle.mkdir()
    for path in tiny_bundle.iterdir():
        (bundle / path.name).write_bytes(path.read_bytes())
    text = (bundle / "manifest.json").read_bytes()
    signature = key.sign(b"patchedge bundle manifest, version 1\0" + text).signature
    public = f"ed25519:{bytes(key.verify_key).hex()}"
    (bundle / "manifest.sig").write_text(f"patchedge-signature-v1 {public} {signature.hex()}\n")
    assert read(bundle, Trust(keys=(public,))).id == hashlib.sha256(text).hexdigest()
    with pytest.raises(errors.BundleKeyUnknown):
        read(bundle, Trust(keys=(f"ed25519:{'0' * 64}",)))


def packed(bundle: Path) -> bytes:
    """Pack a bundle as rules P1 to P4 say."""
    names = ["manifest.json", "manifest.sig", "model.onnx", "bank.safetensors", "neighbours.safetensors"]
    names += ["measure.safetensors", "index.hnsw", "golden.safetensors", "network.onnx"]
    whole = b""
    for name in names:
        if (bundle / name).exists():
            data = (bundle / name).read_bytes()
            header = bytearray(512)
            for at, field in (
                (0, name.encode()),
                (100, b"0000644\0" + b"0000000\0" * 2),
                (124, b"%011o\0" % len(data) + b"00000000000\0" + b" " * 8 + b"0"),
                (257, b"ustar\00000"),
                (329, b"0000000\0" * 2),
            ):
                header[at : at + len(field)] = field
            header[148:156] = b"%06o\0 " % sum(header)
            whole += bytes(header) + data + bytes(-len(data) % 512)
    return whole + bytes(1024)


def test_a_pack_written_by_the_page_is_the_same_bytes(tiny_bundle: Path, tmp_path: Path) -> None:
    """P1 to P5: packing by the table of bytes gives what `bundle pack` gives, and it is unpacked."""
    pack.pack(bundles.read(tiny_bundle), tmp_path / "line.pack")
    assert (tmp_path / "line.pack").read_bytes() == packed(tiny_bundle)
    (tmp_path / "by-hand.pack").write_bytes(packed(tiny_bundle))
    assert pack.unpack(tmp_path / "by-hand.pack", tmp_path / "new.bundle").id == bundles.read(tiny_bundle).id
    assert pack.MAX_TOTAL_BYTES == 8 << 30


class Broken:
    """A signed bundle to which one fault after the other is added."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.path = folder / "broken.bundle"
        self.path.mkdir()
        for path in source.iterdir():
            (self.path / path.name).write_bytes(path.read_bytes())
        self.tree = manifest_of(self.path)
        self.key = SigningKey(b"p" * 32)
        self.trust = Trust(keys=(f"ed25519:{bytes(self.key.verify_key).hex()}",))

    def arrays(self, name: str, **changed: np.ndarray) -> None:
        path = self.path / f"{name}.safetensors"
        save_file({**load_file(path), **changed}, path)
        self.listed()

    def listed(self) -> None:
        for name, one in self.tree["files"].items():
            data = (self.path / name).read_bytes()
            one |= {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    def seal(self) -> None:
        self.manifest(sealed(self.tree))

    def manifest(self, text: bytes) -> None:
        (self.path / "manifest.json").write_bytes(text)
        self.signature(self.key, text)

    def signature(self, key: SigningKey, text: bytes) -> None:
        value = key.sign(b"patchedge bundle manifest, version 1\0" + text).signature.hex()
        public = bytes(key.verify_key).hex()
        self.sig.unlink(missing_ok=True)
        self.sig.write_text(f"patchedge-signature-v1 ed25519:{public} {value}\n")

    @property
    def sig(self) -> Path:
        return self.path / "manifest.sig"


def faults(one: Broken) -> Iterator[str]:
    """Add the faults of the table, the last first; yield what the reader should say of each."""
    tree, files, path = one.tree, one.tree["files"], one.path
    golden = load_file(path / "golden.safetensors")
    bank = load_file(path / "bank.safetensors")["bank"]
    neighbours = load_file(path / "neighbours.safetensors")["neighbours"]
    changes: list[tuple[str, Callable[[], object]]] = [
        ("BundleParity", lambda: one.arrays("golden", scores=golden["scores"] * 2)),
        ("BundleShapeMismatch", lambda: one.arrays("golden", more=golden["scores"])),
        ("BundleParity", lambda: tree["parity"].update(tolerances={})),
        ("BundleIndexInvalid", lambda: one.arrays("bank", bank=bank[::-1].copy())),
        ("BundleShapeMismatch", lambda: one.arrays("neighbours", neighbours=neighbours.astype(np.int64))),
        ("BundleGraphInvalid", lambda: ((path / "model.onnx").write_bytes(b"none"), one.listed())),
        ("BundleIndexInvalid", lambda: ((path / "index.hnsw").write_bytes(b"none"), one.listed())),
        ("BundleFileHash", lambda: files["model.onnx"].update(sha256="a" * 64)),
        ("BundleFileSize", lambda: files["model.onnx"].update(size=1)),
        ("BundleFileMissing", (path / "golden.safetensors").unlink),
        ("BundleFileUnexpected", (path / "more").touch),
        ("BundleShapeMismatch", lambda: files["golden.safetensors"].update(size=65 * MIB)),
        ("BundleManifestInvalid", lambda: tree.update(more=1)),
    ]
    for said, change in changes:
        change()
        one.seal()
        yield said
    one.manifest(json.dumps({**tree, "manifest_sha256": "0" * 64}).encode())
    yield "BundleFileHash"
    one.manifest(json.dumps({**tree, "manifest_sha256": "0" * 64, "format_version": 3}).encode())
    yield "BundleVersionUnknown"
    one.manifest(b"{")
    yield "BundleManifestInvalid"
    one.signature(one.key, b"another")
    yield "BundleSignatureInvalid"
    one.signature(SigningKey(b"s" * 32), b"another")
    yield "BundleKeyUnknown"
    one.sig.write_text("none")
    yield "BundleSignatureInvalid"
    one.sig.unlink()
    yield "BundleUnsigned"
    one.sig.write_bytes(bytes(513))
    yield "BundleSignatureInvalid"
    one.sig.unlink()
    one.sig.symlink_to(path / "manifest.json")
    yield "BundleFileUnexpected"
    (path / "manifest.json").write_bytes(bytes(MIB + 1))
    yield "BundleManifestInvalid"
    (path / "manifest.json").rename(path / "elsewhere")
    (path / "manifest.json").symlink_to(path / "elsewhere")
    yield "BundleFileMissing"
    path.rename(path.with_name("elsewhere"))
    yield "BundleMissing"


def test_checks_are_made_in_the_order_of_the_table(tiny_bundle: Path, tmp_path: Path) -> None:
    """Faults are added from the end of the table to its beginning: each is refused before those that follow it."""
    one = Broken(tiny_bundle, tmp_path)
    one.seal()
    load(one.path, 1, trust=one.trust)
    table = [said for _, said in rows("What a reader checks")[1:]]
    for said, wanted in zip(faults(one), reversed(table), strict=True):
        assert said == wanted
        with pytest.raises(errors.BundleError) as caught:
            load(one.path, 1, trust=one.trust)
        assert type(caught.value).__name__ == said, caught.value


HEADINGS = ("What a reader checks", "Learnt on a device", "Packed bundle")


def test_every_error_of_a_bundle_is_on_the_page() -> None:
    """The tables of damage name every class of a bundle's errors, and no other."""
    named = {row[-1] for heading in HEADINGS for row in rows(heading)}
    named = {name for name in named if name.startswith("Bundle")}
    assert named == {kind.__name__ for kind in descendants(errors.BundleError)} - {"BundleError"}


def test_rules_are_numbered() -> None:
    """Each rule has a number of its own, counted from 1 under each letter, and rules alone say MUST or MAY."""
    numbers = re.findall(r"^- \*\*([A-Z])(\d+)\*\* ", PAGE, re.MULTILINE)
    for letter in {letter for letter, _ in numbers}:
        found = [int(number) for one, number in numbers if one == letter]
        assert found == list(range(1, len(found) + 1)), letter
    paragraphs = re.split(r"\n\n|\n(?=- )", PAGE)
    loose = [
        one for one in paragraphs if re.search(r"\b(MUST|MAY|SHOULD)\b", one) and not one.lstrip().startswith("- **")
    ]
    assert [one[:20] for one in loose] == ["MUST, MUST NOT, SHOU"]
