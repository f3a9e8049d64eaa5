"""What centring, position means, scaling, spacing, bank and k do to decisions, on features that are computed once.

Usage: python -m tests.programs.bench.features DATA_FOLDER RESULTS_FILE [--sets A,B] [--rotations N]

A sketch in torch, by brute force, apart from the product: on a GPU it takes minutes, on two cores hours. Each variant
is judged with several choices of the held-out pictures (the product's, and rotated by a part of a stretch), as with few
of them one strange picture decides. Prints a table in Markdown; the rows go to the results file as JSON lines.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import local

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from export.evaluation.metrics import image_auroc
from export.network.make_network import make_network
from export.options import Options
from runtime.frame import Image
from runtime.learning.calibrate import hold_out
from runtime.learning.pictures.images import Pictures
from runtime.scoring.embed import Embed
from runtime.scoring.preprocess import Preprocess
from tests.programs.bench.decisions import SETS, open_set

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SEED, PROJECTED, NEIGHBOURS, BLOCK = 0, 128, 8, 384
EVERY = 10  # frames with people of the office: every tenth
GAINS = (None, 0.8, 1.25)
TOP = (3, 5, 10, 20)
MAX_DISTANCES = 1 << 29  # at once, 2 GB
Features = torch.Tensor
"""float32 [pictures, patches, D]."""


Scores = dict[tuple[str, int], NDArray[np.float64]]
"""Kind of spacing and k -> score of each picture."""


@dataclass(frozen=True)
class Variant:
    """What is tried: scale of channels as a power of their deviation, centring, bank, gains in it, position means."""

    power: float = -0.5
    centring: float = 0.5
    share: float = 0.03
    light: bool = False
    means: float = 0.0


VARIANTS = (
    *(Variant(power, centring) for power in (0.0, -0.25, -0.5, -1.0) for centring in (0.0, 0.5, 1.0)),
    *(Variant(power, share=0.1) for power in (0.0, -0.25, -0.5)),
    Variant(light=True),
    *(Variant(light=True, means=means) for means in (0.25, 0.5, 0.75, 1.0)),
)


class Embedder:
    """The product's stages in as many threads as there are cores."""

    def __init__(self, images: Path, folder: Path) -> None:
        pictures = Pictures(images)
        network = make_network(Options(images=str(images), out="-"), pictures, (320, 320), folder, 0)
        self._spec, self._model, self._own = network.spec, folder / "model.onnx", local()
        self._pool = ThreadPoolExecutor()

    def __call__(self, pictures: Iterator[Image], gains: Iterator[float | None]) -> Features:
        found = self._pool.map(self._embed, pictures, gains)
        return torch.from_numpy(np.stack([one.astype(np.float16) for one in found]))

    def _embed(self, picture: Image, gain: float | None) -> NDArray[np.float32]:
        if not hasattr(self._own, "embed"):
            self._own.embed, self._own.preprocess = Embed(self._model, 1), Preprocess(self._spec)
        return self._own.embed(self._own.preprocess(lit(picture, gain)))


def lit(picture: Image, gain: float | None) -> Image:
    return picture if gain is None else cv2.convertScaleAbs(picture, alpha=gain)


def greedy(points: torch.Tensor, count: int) -> torch.Tensor:
    """Select farthest first, in blocks of candidates, from a random entry: rows int64 [count]."""
    norms = points.square().sum(1)
    first = int(np.random.default_rng(SEED).integers(len(points)))
    chosen, nearest = [first], (norms + norms[first] - 2 * points @ points[first]).clamp_(min=0)
    nearest[first] = -1
    while len(chosen) < count:
        far, rows = torch.topk(nearest, min(BLOCK, len(points)))
        block = points[rows]
        apart = (norms[rows][:, None] + norms[rows][None] - 2 * block @ block.T).cpu().numpy()
        left, least, taken = far.cpu().numpy().copy(), float(far[-1]), []
        while len(chosen) + len(taken) < count and left.max() >= max(least, 1e-12):
            taken.append(int(left.argmax()))
            np.minimum(left, apart[taken[-1]], out=left)
            left[taken[-1]] = -1
        if not taken:
            break
        new = rows[torch.tensor(taken, device=points.device)]
        for part in torch.arange(len(points), device=points.device).split(1 << 17):
            squares = norms[part][:, None] + norms[new][None] - 2 * points[part] @ points[new].T
            nearest[part] = torch.minimum(nearest[part], squares.amin(1))
        nearest[new] = -1
        chosen += new.tolist()
    return torch.tensor(chosen, device=points.device)


def distances(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    squares = other.square().sum(1)[None] + one.square().sum(1, keepdim=True) - 2 * one @ other.T
    return squares.clamp_(min=0).sqrt_()


def spacing(bank: torch.Tensor) -> torch.Tensor:
    """Return what distances to each entry are divided by: its mean distance to its nearest, and the mean of these."""
    parts = [distances(part, bank).topk(NEIGHBOURS + 1, largest=False)[0][:, 1:].mean(1) for part in bank.split(2048)]
    near = torch.cat(parts)
    return near + near.mean()


def scores(
    features: Features, bank: torch.Tensor, divisors: torch.Tensor
) -> dict[tuple[str, int], NDArray[np.float64]]:
    """Return the mean of the k largest patch distances of each picture, without spacing and with it."""
    found: dict[tuple[str, int], list[NDArray[np.float64]]] = defaultdict(list)
    patches = features.shape[1]
    for some in features.split(max(1, MAX_DISTANCES // (len(bank) * patches))):
        apart = distances(some.reshape(-1, some.shape[2]), bank)
        for name, kind in (("none", apart.amin(1)), ("local", (apart / divisors).amin(1))):
            ordered = kind.reshape(-1, patches).sort(1, descending=True)[0]
            for k in TOP:
                found[name, k].append(ordered[:, :k].mean(1).double().cpu().numpy())
    return {key: np.concatenate(parts) for key, parts in found.items()}


def adjuster(variant: Variant, training: Features) -> Callable[[Features], Features]:
    """Return centring, position means and scaling as this variant has them."""

    def centred(features: Features) -> Features:
        loaded = features.to(DEVICE).float()
        return loaded - variant.centring * loaded.mean(1, keepdim=True)

    usual = centred(training).mean(0)
    offset = variant.means * (usual - usual.mean(0))
    deviation = (centred(training) - offset).flatten(0, 1).std(0) + 1e-6
    return lambda features: (centred(features) - offset) * deviation**variant.power


def judge(table: dict[str, Features], held: NDArray[np.bool_], variant: Variant) -> Iterator[dict[str, object]]:
    """Fit and judge one variant; a row for each kind of spacing and each k."""
    keep, out = torch.from_numpy(~held), torch.from_numpy(held)
    adjust = adjuster(variant, table["normal"][keep])
    learnt = [table["normal"], *([table["dark"], table["bright"]] if variant.light else [])]
    rows = torch.cat([adjust(one[keep]).flatten(0, 1) for one in learnt])
    random = np.random.default_rng(SEED).normal(size=(rows.shape[1], PROJECTED)).astype(np.float32)
    count = max(16, round(variant.share * int((~held).sum()) * table["normal"].shape[1]))
    bank = rows[greedy(rows @ torch.from_numpy(random / np.float32(math.sqrt(PROJECTED))).to(DEVICE), count)]
    del rows
    divisors = spacing(bank)
    kinds = {"held": table["random" if variant.light else "normal"][out], "good": table["good"], "bad": table["bad"]}
    found = {name: scores(adjust(one), bank, divisors) for name, one in kinds.items()}
    for key in found["held"]:
        held_out, good, bad = np.sort(found["held"][key]), found["good"][key], found["bad"][key]
        rank = min(math.ceil(round((len(held_out) + 1) * 0.99, 9)), len(held_out))
        thresholds = held_out[rank - 1], held_out[max(rank - 2, 0)]
        truth = np.repeat([False, True], [len(good), len(bad)])
        yield {
            "spacing": key[0],
            "k": key[1],
            "auroc": image_auroc(np.concatenate([good, bad]), truth),
            "detected": float((bad > thresholds[0]).mean()),
            "detected_without_largest": float((bad > thresholds[1]).mean()),
            "false_alarms": float((good > thresholds[0]).mean()),
        }


def read_set(data: Path, name: str, work: Path) -> dict[str, Features]:
    """Embed the pictures of a set: as they are, darker, brighter, and each with a random gain."""
    images, dataset = open_set(data, name, work, EVERY)
    embedder = Embedder(images, work)
    count = len(Pictures(images))
    gains = np.exp(np.random.default_rng(SEED + 1).uniform(np.log(GAINS[1]), np.log(GAINS[2]), count)).tolist()
    wanted = {"normal": [GAINS[0]] * count, "dark": [GAINS[1]] * count, "bright": [GAINS[2]] * count, "random": gains}
    table = {kind: embedder((image for _, image in Pictures(images)), iter(own)) for kind, own in wanted.items()}
    tested = embedder((image for _, image in dataset.pictures(depth=16)), iter([None] * len(dataset.samples)))
    anomalous = torch.tensor([sample.anomalous for sample in dataset.samples])
    return {**table, "good": tested[~anomalous], "bad": tested[anomalous]}


def print_table(rows: list[dict[str, object]]) -> None:
    """Print means over the rotations: AUROC, detected (without the largest held-out score), for each set."""
    sets = list(dict.fromkeys(str(row["set"]) for row in rows))
    means: dict[tuple[object, ...], dict[str, list[tuple[float, ...]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        key = tuple(row[name] for name in ("power", "centring", "share", "light", "means", "spacing", "k"))
        figures = row["auroc"], row["detected"], row["detected_without_largest"]
        means[key][str(row["set"])].append(figures)  # type: ignore[arg-type]
    print("| scale | centring | bank | light | means | spacing | k |", " | ".join(sets), "|")
    print("|--:|--:|--:|---|---|--:|" + "---|" * len(sets))
    for key, by_set in means.items():
        cells = (np.mean(by_set[name], axis=0) for name in sets)
        print("|", " | ".join(map(str, key)), "|", " | ".join(f"{a:.3f} {d:.0%} ({e:.0%})" for a, d, e in cells), "|")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--rotations", type=int, default=4)
    args = parser.parse_args()
    args.results.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in args.sets.split(","):
        with tempfile.TemporaryDirectory() as folder:
            table = read_set(args.data, name, Path(folder))
        held = hold_out(len(table["normal"]), 0.25)
        stretch = len(held) // 4
        for rotation in range(args.rotations):
            for variant in VARIANTS:
                turned = np.roll(held, rotation * stretch // 4)
                found = judge(table, turned, variant)
                rows += [{"set": name, "rotation": rotation, **asdict(variant), **row} for row in found]
        args.results.write_text("".join(json.dumps(row) + "\n" for row in rows))
    print_table(rows)


if __name__ == "__main__":
    main()
