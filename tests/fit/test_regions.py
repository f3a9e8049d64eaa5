"""Where fit must not look: polygons of pictures that are neither learnt nor calibrated, and that the bundle records."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from edge_config.bundle import manifest as manifests
from edge_config.bundle.files import read
from edge_config.bundle.manifest import Manifest
from export.evaluation.dataset import Sample
from export.evaluation.score_dataset import mask_of
from export.gate.sized_faults import SizedFault, place
from runtime.frame import Image
from runtime.inference.load import load
from runtime.learning.gate.synthetic_faults import with_faults
from runtime.learning.pictures.regions import Looked
from tests.support.small import (
    HEIGHT,
    WIDTH,
    Done,
    call_device,
    call_export,
    colour_picture,
    small_network,
    write_colours,
)

CORNER = ((90, 0), (159, 0), (159, 70), (90, 70))
"""What is ignored: the clock, and what its pixels reach through the small network, 20 pixels around it."""
CLOCK = slice(20, 40), slice(120, 150)
SIZE, GRID = 64, 32
"""The network's input, and its patches along each side."""


def words(polygon: tuple[tuple[int, int], ...]) -> str:
    return ",".join(str(number) for corner in polygon for number in corner)


def clocked(number: int, *, flickers: bool) -> Image:
    """Cut a piece out of a photograph, with a black patch or one of noise, which differs from picture to picture."""
    picture = colour_picture(number)
    patch = picture[CLOCK]
    patch[:] = np.random.default_rng(number).integers(0, 256, patch.shape) if flickers else 0
    return picture


def fit(folder: Path, images: Path, *more: object, name: str = "a") -> tuple[Done, Path]:
    """Fit with the small network; without a page unless `more` asks for one."""
    network, out = folder / "small.onnx", folder / f"{name}.bundle"
    onnx.save(small_network(), network)
    given = ["--images", images, "--out", out, "--backbone", network, "--layers", "map_0,map_1", "--size", SIZE]
    return call_export("fit", *given, "--threads", 1, *more), out


NO_PAGE = "--no-report"
"""Of fits whose page is not looked at: it takes as long as all else."""


def write(folder: Path, count: int = 12, *, flickers: bool = False) -> Path:
    folder.mkdir()
    for number in range(count):
        cv2.imwrite(str(folder / f"{number:03d}.png"), clocked(number, flickers=flickers))
    return folder


def manifest_of(bundle: Path) -> Manifest:
    return manifests.decode((bundle / "manifest.json").read_bytes(), "test")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return two bundles with the corner ignored: the clock in it stood still, and flickered."""
    folder = tmp_path_factory.mktemp("regions")
    made = []
    for flickers in (False, True):
        images = write(folder / f"images-{flickers}", flickers=flickers)
        done, bundle = fit(folder, images, "--ignore", words(CORNER), NO_PAGE, name=str(flickers))
        assert done.code == 0, done.err
        made.append(bundle)
    return made[0], made[1]


@pytest.mark.slow
def test_flickering_patch_in_an_ignored_area_changes_nothing(pair: tuple[Path, Path]) -> None:
    """Bank, neighbours, index and calibration are those of pictures in which the same patch stands still."""
    still, flickering = pair
    for name in ("bank.safetensors", "neighbours.safetensors", "index.hnsw"):
        assert (still / name).read_bytes() == (flickering / name).read_bytes()
    one, other = (manifest_of(bundle) for bundle in pair)
    assert one.calibration == other.calibration
    assert (one.coreset, one.index) == (other.coreset, other.index)


@pytest.mark.slow
def test_without_ignore_the_same_patch_is_learnt(tmp_path: Path) -> None:
    """The flickering patch would else change the bank: the test above can fail."""
    made = [fit(tmp_path, write(tmp_path / name, flickers=name == "b"), NO_PAGE, name=name)[1] for name in "ab"]
    one, other = ((bundle / "bank.safetensors").read_bytes() for bundle in made)
    assert one != other


def judged_by_definition() -> np.ndarray:
    """Return the patches whose centre on the picture is not in the corner, bool [GRID * GRID]."""
    at = (np.arange(GRID) + 0.5) / GRID
    x, y = at * WIDTH, at[:, None] * HEIGHT
    (left, top), _, (right, bottom), _ = CORNER
    return ~((x >= left) & (x <= right) & (y >= top) & (y <= bottom)).ravel()


@pytest.mark.slow
def test_bundle_records_regions_and_looks_nowhere_else(pair: tuple[Path, Path]) -> None:
    """The manifest has the polygons and the size of their pictures; the loaded bundle judges only the other patches."""
    bundle, scorer = load(pair[1], 1)
    found = bundle.manifest
    assert (found.ignore, found.regions, found.regions_hw) == ((CORNER,), (), (HEIGHT, WIDTH))
    judged = judged_by_definition()
    np.testing.assert_array_equal(scorer.judged, judged)
    assert found.coreset.patches == judged.sum() * 9  # of 12 pictures, 3 held out
    picture = clocked(100, flickers=False)
    score = scorer(picture)
    picture[CLOCK] = (0, 0, 255)
    assert scorer(picture).value == score.value
    assert judged[score.patch]
    picture[90:110, 20:50] = (0, 0, 255)
    assert scorer(picture).value > score.value


@pytest.mark.slow
def test_score_is_that_of_the_judged_patches(pair: tuple[Path, Path]) -> None:
    """The score of a picture is the mean of the 5 largest distances among the judged patches, by plain numpy."""
    bundle, scorer = load(pair[1], 1)
    picture = clocked(101, flickers=True)
    features = scorer.embed(scorer.preprocess(picture)).astype(np.float64)[judged_by_definition()]
    from safetensors.numpy import load_file

    bank = load_file(bundle.path / "bank.safetensors")["bank"].astype(np.float64)
    measure = load_file(bundle.path / "measure.safetensors")
    apart = np.sqrt(((features[:, None] - bank) ** 2).sum(axis=2))
    distances = (apart / (measure["spacing"] + measure["mean"])).min(axis=1)
    assert scorer(picture).value == pytest.approx(np.sort(distances)[-5:].mean(), rel=1e-5)  # float32 distances


@pytest.mark.slow
def test_recalibrate_and_evaluate_do_not_look_there(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """New pictures with something strange in the ignored corner give the threshold and the scores of those without."""
    thresholds, scores = [], []
    for strange in (False, True):
        images = tmp_path / f"new-{strange}"
        for kind in ("train/good", "test/good", "test/odd"):
            (images / kind).mkdir(parents=True)
            for number in range(50, 56):
                picture = clocked(number, flickers=False)
                picture[CLOCK] = (0, 0, 255 * strange)
                cv2.imwrite(str(images / kind / f"{number}.png"), picture)
        out = tmp_path / f"{strange}.bundle"
        done = call_export("recalibrate", pair[0], "--images", images / "train/good", "--out", out, "--force")
        assert done.code == 0, done.err
        thresholds.append(manifest_of(out).calibration.threshold)
        assert manifest_of(out).ignore == (CORNER,)
        done = call_export("evaluate", pair[0], "--dataset", images, "--out", tmp_path / f"page-{strange}", "--json")
        assert done.code == 0, done.err
        scores.append(json.loads(done.out)["image_auroc"])
    assert thresholds[0] == thresholds[1]
    assert scores == [0.5, 0.5]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--ignore", "0,0,500,0,500,90"), "the corner 500,0 is beyond the pictures of 160 x 120; draw them"),
        (("--regions", "0,0,1,0,1,1"), "key `regions[0]`: nothing is seen there of pictures of 160 x 120 pixels"),
        (("--ignore", "0,0,160,0,160,120,0,120"), "key `ignore`: nothing is left to be judged; ignore less"),
        (("--ignore", "0,0,160,0"), "'0,0,160,0' is not a polygon of at least three corners"),
        (("--ignore", "0,0,160,0,9"), "'0,0,160,0,9' is not a polygon of at least three corners"),
        (("--ignore", "0,0,160,0,9,-1"), "-1 is not between 0 and 65535, in the polygon '0,0,160,0,9,-1'"),
        (("--ignore", "left"), "'left' is not a whole number, in the polygon 'left'"),
    ],
)
def test_bad_polygons_get_one_line(tmp_path: Path, given: tuple[str, ...], said: str) -> None:
    """A polygon that cannot be used is refused in one line, with exit code 2, before anything is embedded."""
    done, bundle = fit(tmp_path, write_colours(tmp_path / "images", 5), *given)
    assert done.code == 2
    assert said in done.err.splitlines()[-1]
    assert not bundle.exists()


def test_polygons_of_a_config_file_are_checked(tmp_path: Path) -> None:
    """In a file `ignore` is a list of polygons; an error names the line and the corner."""
    config = tmp_path / "fit.yaml"
    config.write_text("coreset: 0.1\nignore:\n- [[0, 0], [10, 0], [10, -4]]\n")
    done, _ = fit(tmp_path, write_colours(tmp_path / "images", 5), "--config", config)
    assert done.code == 78
    assert f"{config}:2: key `ignore[0][2][1]`: -4 is not a whole number from 0 to 65535" in done.err


def test_pictures_of_other_proportions_are_refused(tmp_path: Path) -> None:
    """Polygons belong to one shape of picture: among pictures of another shape they would lie elsewhere."""
    images = write_colours(tmp_path / "images", 5)
    cv2.imwrite(str(images / "wide.png"), colour_picture(9)[:100])
    done, _ = fit(tmp_path, images, "--ignore", words(CORNER))
    assert done.code == 2
    assert "belong to pictures of 160 x 120" in done.err
    assert "160 x 100, which have other proportions" in done.err


@pytest.mark.slow
def test_pictures_of_other_sizes_have_scaled_polygons(tmp_path: Path) -> None:
    """Pictures of twice the size are looked at in the same places: the same clock in them changes nothing."""
    made = []
    for flickers in (False, True):
        images = write(tmp_path / f"images-{flickers}", 8, flickers=flickers)
        for number in (20, 21, 22):
            large = cv2.resize(clocked(number, flickers=flickers), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
            cv2.imwrite(str(images / f"{number:03d}.png"), large)
        done, bundle = fit(tmp_path, images, "--ignore", words(CORNER), NO_PAGE, name=str(flickers))
        assert done.code == 0, done.err
        made.append((bundle / "bank.safetensors").read_bytes())
    assert made[0] == made[1]


@pytest.mark.slow
def test_fit_says_what_it_leaves_out(tmp_path: Path) -> None:
    """The summary tells how many patches are neither learnt nor judged, and the page where; `check` is content."""
    region = ((0, 0), (80, 0), (80, 120), (0, 120))
    config = tmp_path / "fit.yaml"
    config.write_text(f"regions: {json.dumps([region])}\n")
    done, bundle = fit(tmp_path, write_colours(tmp_path / "images", 6), "--config", config)
    assert done.code == 0, done.err
    assert f"`regions` and `ignore` leave out 512 of {GRID * GRID} patches" in done.out
    assert manifest_of(bundle).regions == (region,)
    assert "; judges 512 of 1024 patches" in call_device("check", bundle).out
    (page,) = tmp_path.glob("*.html")
    (shown,) = re.findall(
        r"<h2>Where it looks</h2>\s*<p>[^<]*</p>\s*<img src=\"data:image/jpeg;base64,([^\"]+)", page.read_text()
    )
    drawn = cv2.imdecode(np.frombuffer(base64.b64decode(shown), np.uint8), cv2.IMREAD_COLOR)
    assert drawn.shape[:2] == (HEIGHT, WIDTH)
    blue, green, red = np.moveaxis(drawn[40:80, 76:84].astype(int).mean(axis=0), -1, 0)  # over the edge at 80
    assert (green - np.maximum(blue, red)).max() > 50


def test_faults_of_stated_sizes_lie_where_pictures_are_judged() -> None:
    """So do those of the report: the centre of each is in the strip that is judged."""
    strip = ((0, 50), (WIDTH, 50), (WIDTH, 60), (0, 60))
    judged = Looked(regions=(strip,), hw=(HEIGHT, WIDTH)).pixels((HEIGHT, WIDTH))
    grey = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for number in range(20):
        spot = SizedFault(kind="spot", cells=1.0, contrast=50)
        damaged = place(spot, 8.0, (0, 0, HEIGHT, WIDTH), np.random.default_rng(number), judged)(grey)
        rows = np.flatnonzero((damaged != grey).any(axis=(1, 2)))
        assert 50 <= (rows[0] + rows[-1] + 1) / 2 <= 60


def test_synthetic_faults_lie_where_pictures_are_judged() -> None:
    """The centre of a fault is never in an ignored area, however large that is."""
    most = ((0, 0), (WIDTH, 0), (WIDTH, HEIGHT - 30), (0, HEIGHT - 30))
    looked = Looked(ignore=(most,), hw=(HEIGHT, WIDTH))
    pictures = [colour_picture(number) for number in range(12)]
    for picture, damaged in with_faults(pictures, 0, looked.pixels):
        rows = np.flatnonzero((picture != damaged).any(axis=(1, 2)))
        assert len(rows)
        assert (rows[0] + rows[-1]) / 2 > HEIGHT - 30
    assert all((one == other).all() for one, other in zip(pictures, map(colour_picture, range(12)), strict=True))


@pytest.mark.slow
def test_tolerances_that_move_the_clock_are_noted(tmp_path: Path) -> None:
    """A flip brings an ignored corner to the other side, where it is learnt: a note says so; light says nothing."""
    for number, (vary, noted) in enumerate((("flip", True), ("light=20%", False))):
        images = write_colours(tmp_path / str(number), 5)
        done, _ = fit(tmp_path, images, "--ignore", words(CORNER), "--may-vary", vary, NO_PAGE, name=vary[:4])
        assert done.code == 0, done.err
        assert ("move what is in `ignore`" in done.out) == noted


def test_truth_in_an_ignored_area_is_none(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """Of a mask over the edge of the ignored corner only the part outside of it counts."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[30:50, 60:120] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    sample = Sample("one", tmp_path / "one.png", None, 1, anomalous=True, kind="odd", mask=tmp_path / "mask.png")
    seen = mask_of(sample, read(pair[0]), (HEIGHT, WIDTH))
    columns = np.flatnonzero(seen.any(axis=0))
    assert columns[0] == pytest.approx(60 * SIZE / WIDTH, abs=1)
    assert columns[-1] + 1 == pytest.approx(90 * SIZE / WIDTH, abs=1)
