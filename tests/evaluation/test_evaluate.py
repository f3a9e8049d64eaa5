"""`patchedge-export evaluate` as a user calls it: a bundle, pictures with their truth, two files and a table."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from export.evaluation.dataset import Sample, open_dataset
from export.evaluation.evaluate import EXAMPLES, Outcome, evaluate
from export.evaluation.figures import STAGES, KindFigures
from export.evaluation.page import as_html
from export.evaluation.score_dataset import mask_of
from runtime.camera.image_files import read_picture
from runtime.inference.load import load
from runtime.scoring.preprocess import Preprocess
from tests.support.processes import EXPORT, call
from tests.support.small import call_export
from tests.support.tiny import HEIGHT, THRESHOLD, WIDTH, make_bundle, normal_picture, strange_picture

GOOD, RED, BARE = 8, 5, 2
SAME_SCORE = 1e-6  # relative: two processes compute the same float64 from the same float32
COMPRESSION = 0.05  # of an area: MJPG blurs the colours around an edge

FIGURES = {
    *(
        "bundle",
        "dataset",
        "score_mode",
        "threshold",
        "promised_alpha",
        "upper_alpha",
        "normal",
        "anomalous",
        "left_out",
    ),
    *("image_auroc", "average_precision", "f1_max", "pixel_auroc", "aupro", "pixel_pictures"),
    *("false_alarm_rate", "detection_rate", "false_alarms", "detected", "false_alarm_interval", "detection_interval"),
    *("false_alarms_allowed", "promise_kept", "kinds", "stage_ms", "notes"),
}


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def red_mask() -> np.ndarray:
    """Mark the square of `strange_picture`."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[12:24, 40:52] = 255
    return mask


def write_dataset(root: Path, *, good: int = GOOD, red: int = RED, bare: int = BARE, masks: bool = True) -> Path:
    """Write a folder in MVTec layout; the kind `bare` has no masks."""
    (root / "test").mkdir(parents=True)
    for number in range(good):
        write(root / "test" / "good" / f"{number}.png", normal_picture(number))
    for number in range(red):
        write(root / "test" / "red" / f"{number}.png", strange_picture(50 + number))
        if masks:
            write(root / "ground_truth" / "red" / f"{number}_mask.png", red_mask())
    for number in range(bare):
        write(root / "test" / "bare" / f"{number}.png", strange_picture(90 + number))
    return root


def write_list(folder: Path) -> Path:
    """Write ten frames, the fourth to sixth with a red square, the ninth left out, and their list."""
    for number in range(1, 11):
        strange = number in {4, 5, 6}
        write(folder / "frames" / f"{number:04d}.png", (strange_picture if strange else normal_picture)(number))
        if strange:
            write(folder / "masks" / f"{number:04d}.png", red_mask())
    labels = {4: "anomalous", 5: "anomalous", 6: "anomalous", 9: "unclear"}
    path = folder / "truth.csv"
    path.write_text("frame,label\n" + "".join(f"{n},{labels.get(n, 'normal')}\n" for n in range(1, 11)))
    return path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "tiny.bundle")


@pytest.fixture(scope="module")
def evaluated(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Evaluate a folder; give where it is and what was printed with --json."""
    root = tmp_path_factory.mktemp("evaluated")
    data = write_dataset(root / "data")
    done = call(*EXPORT, "evaluate", bundle, "--dataset", data, "--out", root / "out", "--json", "--threads", 1)
    assert done.returncode == 0, done.stderr
    return root, json.loads(done.stdout)


def exact_low(found: int) -> Any:
    """Return the lower bound of a share where all are found: the one that gives that in 2.5 % of the tests."""
    return pytest.approx(0.025 ** (1 / found))


@pytest.mark.slow
def test_figures_of_a_folder(evaluated: tuple[Path, dict[str, Any]]):
    """Grey and red are told apart, and what each figure is over is said."""
    figures = evaluated[1]
    assert set(figures) == FIGURES
    assert (figures["normal"], figures["anomalous"], figures["left_out"]) == (GOOD, RED + BARE, 0)
    assert figures["threshold"] == THRESHOLD
    for name in ("image_auroc", "average_precision", "f1_max", "detection_rate"):
        assert figures[name] == pytest.approx(1), name
    assert figures["false_alarm_rate"] == 0
    assert figures["kinds"] == {
        "bare": {"count": BARE, "detected": BARE, "detection_interval": [exact_low(BARE), 1.0], "image_auroc": 1.0},
        "red": {"count": RED, "detected": RED, "detection_interval": [exact_low(RED), 1.0], "image_auroc": 1.0},
    }
    assert figures["pixel_pictures"] == GOOD + RED
    assert 0.9 < figures["aupro"] <= figures["pixel_auroc"] <= 1  # the map is blurred, so not perfect
    assert figures["notes"] == ["2 of 7 anomalous pictures have no mask: left out of the pixel figures"]
    assert list(figures["stage_ms"]) == [*STAGES, "whole"]
    assert all(spent > 0 for spent in figures["stage_ms"].values())


@pytest.mark.slow
def test_file_has_every_picture(evaluated: tuple[Path, dict[str, Any]], bundle: Path):
    """The JSON file holds the printed figures, and of every picture the score that a device gives it, and its label."""
    root, figures = evaluated
    written = json.loads((root / "out" / "evaluation.json").read_text())
    samples = written.pop("samples")
    assert written == figures
    assert len(samples) == GOOD + RED + BARE
    own, scorer = load(bundle)
    assert figures["bundle"] == own.id
    for sample in samples:
        score = scorer(read_picture(root / "data" / sample["name"])).value
        assert sample["score"] == pytest.approx(score, rel=SAME_SCORE)
        assert sample["kind"] == Path(sample["name"]).parent.name
        assert sample["anomalous"] == (sample["kind"] != "good")
        assert sample["label"] == ("anomalous" if score > THRESHOLD else "normal")


def addresses(page: str) -> list[str]:
    """Return all that a page refers to."""
    return re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", page)


def test_page_needs_nothing_but_itself(evaluated: tuple[Path, dict[str, Any]]):
    """The page refers to nothing outside, runs no script, and shows figures, notes and pictures."""
    page = (evaluated[0] / "out" / "evaluation.html").read_text()
    assert page.count("<svg") == 3  # histogram, ROC, the colours
    pictures = [address for address in addresses(page) if not address.startswith("#")]  # parts of a chart
    assert len(pictures) == 2 * EXAMPLES + 1  # the worst of both kinds; the colours
    assert all(picture.startswith("data:image/") for picture in pictures)
    assert "<script" not in page
    assert "http" not in re.sub(r"base64,[^\"]*", "", page)
    for said in ("image AUROC", "2 of 7 anomalous pictures have no mask", "test/red/0.png"):
        assert said in page


@pytest.mark.slow
def test_names_cannot_break_the_page(bundle: Path, tmp_path: Path):
    """A kind or a file whose name is HTML is shown, not obeyed."""
    data = write_dataset(tmp_path / "data", good=1, red=1, bare=0)
    (data / "test" / "red").rename(data / "test" / "<b>&")
    page = as_html(evaluate(*load(bundle, 1), open_dataset(data)))
    assert "test/&lt;b&gt;&amp;/0.png" in page
    assert "<b>" not in page


def run(bundle: Path, tmp_path: Path, **counts: Any) -> Outcome:
    """Evaluate a data set of so many pictures, and check that its page can be written."""
    outcome = evaluate(*load(bundle, 1), open_dataset(write_dataset(tmp_path / "data", **counts)))
    assert "</html>" in as_html(outcome)
    return outcome


@pytest.mark.slow
def test_without_masks_there_are_no_pixel_figures(bundle: Path, tmp_path: Path):
    """Where no picture has a mask, pixel figures are null, the others are there, and the reason is said."""
    found = run(bundle, tmp_path, masks=False).evaluation
    assert (found.pixel_auroc, found.aupro, found.pixel_pictures) == (None, None, 0)
    assert found.image_auroc == 1
    assert "no anomalous picture has a mask: no pixel figures" in found.notes


def test_only_good_pictures(bundle: Path, tmp_path: Path):
    """With normal pictures only there is a false-alarm rate and nothing that would need anomalous ones."""
    found = run(bundle, tmp_path, red=0, bare=0).evaluation
    absent = ("image_auroc", "average_precision", "f1_max", "pixel_auroc", "aupro", "detection_rate")
    assert [getattr(found, name) for name in absent] == [None] * 6
    assert found.false_alarm_rate == 0
    assert found.kinds == {}
    assert "no anomalous picture" in found.notes[0]


def test_only_anomalous_pictures(bundle: Path, tmp_path: Path):
    """With anomalous pictures only there is a detection rate, and masks still give the pixel figures."""
    found = run(bundle, tmp_path, good=0).evaluation
    absent = ("image_auroc", "average_precision", "f1_max", "false_alarm_rate")
    assert [getattr(found, name) for name in absent] == [None] * 4
    assert found.detection_rate == 1
    assert found.kinds["red"].image_auroc is None
    assert found.aupro is not None
    assert "no normal picture" in found.notes[0]


def test_every_kind_is_compared_with_the_normal_pictures(bundle: Path, tmp_path: Path):
    """The AUROC of a kind is over its own pictures and all normal ones, not those of other kinds."""
    data = write_dataset(tmp_path / "data", good=3, red=2, bare=2)
    for number in range(2):
        write(data / "test" / "bare" / f"{number}.png", np.full((HEIGHT, WIDTH, 3), 125, np.uint8))  # no noise at all
    kinds = evaluate(*load(bundle, 1), open_dataset(data)).evaluation.kinds
    assert kinds["red"] == KindFigures(count=2, detected=2, detection_interval=(exact_low(2), 1.0), image_auroc=1.0)
    assert kinds["bare"] == KindFigures(
        count=2, detected=0, detection_interval=(0.0, pytest.approx(1 - 0.025 ** (1 / 2))), image_auroc=0.0
    )


def test_rates_follow_the_threshold(bundle: Path, tmp_path: Path):
    """A red picture among the good ones is a false alarm, a grey one among the red is missed, and both are shown."""
    data = write_dataset(tmp_path / "data", good=4, red=4, bare=0)
    write(data / "test" / "good" / "1.png", strange_picture(1))
    write(data / "test" / "red" / "2.png", normal_picture(2))
    outcome = evaluate(*load(bundle, 1), open_dataset(data))
    found = outcome.evaluation
    assert (found.false_alarm_rate, found.detection_rate) == (0.25, 0.75)
    assert found.kinds["red"].detected == 3
    assert (found.false_alarms, found.detected) == (1, 3)
    assert found.promise_kept  # 1 of 4 where 1 % is promised is rarer than 1 in 20, not than 1 in 100
    assert found.image_auroc is not None
    assert 0.5 < found.image_auroc < 1
    assert outcome.loudest[0].result.name == "test/good/1.png"
    assert outcome.weakest[0].result.name == "test/red/2.png"


@pytest.mark.slow
def test_mask_lies_where_the_anomaly_is(bundle: Path, tmp_path: Path):
    """Picture, heat map and mask of what is shown lie on each other, in the proportions of the picture."""
    shown = run(bundle, tmp_path).weakest[-1].thumbnail
    assert shown.image.shape[:2] == shown.heat.shape == (180, 240)
    assert shown.mask is not None
    where = np.argwhere(shown.mask).mean(axis=0)
    square = np.array([17.5, 45.5]) * 240 / WIDTH
    assert np.abs(where - square).max() < 240 / WIDTH  # within a pixel of the picture
    hottest = np.unravel_index(shown.heat.argmax(), shown.heat.shape)
    assert shown.mask[hottest]


def test_mask_is_resized_and_cropped_as_the_picture_is(bundle: Path, tmp_path: Path):
    """Where a bundle crops, the mask keeps to what is marked in the picture, to the pixel."""
    loaded, _ = load(bundle)
    spec = msgspec.structs.replace(loaded.manifest.preprocessing, resize_hw=(48, 40), crop_hw=(30, 32))
    cropping = replace(loaded, manifest=msgspec.structs.replace(loaded.manifest, preprocessing=spec))
    picture = np.zeros((96, 120, 3), np.uint8)
    picture[20:60, 30:81] = 255  # on whole pixels of the smaller picture too
    write(tmp_path / "mask.png", picture)
    sample = Sample("", tmp_path / "picture.png", None, 1, anomalous=True, kind="", mask=tmp_path / "mask.png")
    seen = Preprocess(spec)(picture)[0].any(axis=2)
    assert seen.any()
    assert (mask_of(sample, cropping, (96, 120)) == seen).all()


def test_mask_that_marks_nothing_is_noted(bundle: Path, tmp_path: Path):
    """A mask without a marked pixel gives no region, and that is said."""
    data = write_dataset(tmp_path / "data")
    write(data / "ground_truth" / "red" / "0_mask.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    assert (
        "1 masks mark nothing that the network sees"
        in evaluate(*load(bundle, 1), open_dataset(data)).evaluation.notes[1]
    )


@pytest.mark.slow
def test_list_is_evaluated_in_the_order_of_time(bundle: Path, tmp_path: Path):
    """A list gives its frames in order, counts what it leaves out, and the page shows the score over time."""
    path = write_list(tmp_path / "data")
    done = call_export("evaluate", bundle, "--dataset", path, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    written = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    numbers = [int(Path(sample["name"]).stem) for sample in written["samples"]]
    assert numbers == [1, 2, 3, 4, 5, 6, 7, 8, 10]
    assert [n for n, each in zip(numbers, written["samples"], strict=True) if each["anomalous"]] == [4, 5, 6]
    assert written["left_out"] == 1
    assert written["image_auroc"] == 1
    assert written["aupro"] > 0.9
    assert 'aria-label="score over time"' in (tmp_path / "out" / "evaluation.html").read_text()
    for said in ("image AUROC", "6 normal, 3 anomalous, 1 left out", "1 unclear"):
        assert said in done.out
    assert done.out.splitlines()[-1].endswith("evaluation.html")


def test_video_is_evaluated_by_frame_number(bundle: Path, tmp_path: Path):
    """The frames of a video give the figures that its pictures give."""
    path = write_list(tmp_path)
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (WIDTH, HEIGHT))
    for file in sorted((tmp_path / "frames").iterdir()):
        writer.write(read_picture(file))
    writer.release()
    found = evaluate(*load(bundle, 1), open_dataset(path, frames=tmp_path / "clip.avi"))
    assert found.places == [1, 2, 3, 4, 5, 6, 7, 8, 10]
    assert [each.label == "anomalous" for each in found.results] == [each.anomalous for each in found.results]
    assert found.evaluation.aupro == pytest.approx(
        evaluate(*load(bundle, 1), open_dataset(path)).evaluation.aupro, abs=COMPRESSION
    )


@pytest.mark.slow
def test_default_target_is_named_after_the_bundle(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without --out the files land in NAME-evaluation of the working directory; a second run replaces them."""
    data = write_dataset(tmp_path / "data", good=1, red=1, bare=0)
    monkeypatch.chdir(tmp_path)
    command = ("evaluate", bundle, "--dataset", data)
    assert call_export(*command).code == 0
    out = tmp_path / "tiny-evaluation"
    assert sorted(entry.name for entry in out.iterdir()) == ["evaluation.html", "evaluation.json"]
    (out / "evaluation.html").write_text("old")
    assert call_export(*command).code == 0
    assert "</html>" in (out / "evaluation.html").read_text()
    assert sorted(entry.name for entry in out.iterdir()) == ["evaluation.html", "evaluation.json"]


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


BAD = {
    "no dataset": (shutil.rmtree, "no such file or folder"),
    "no test": (lambda data: shutil.rmtree(data / "test"), "no folder test"),
    "bad picture": (lambda data: damage(data / "test" / "red" / "3.png"), "red/3.png"),
    "bad mask": (lambda data: damage(data / "ground_truth" / "red" / "3_mask.png"), "3_mask.png"),
    "small mask": (
        lambda data: write(data / "ground_truth" / "red" / "3_mask.png", red_mask()[:20]),
        "a mask of 64 x 20 pixels for a picture of 64 x 48",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(bundle: Path, tmp_path: Path, name: str):
    """Whatever is wrong with the pictures, it is one line on stderr, exit code 2, and nothing is written."""
    data = write_dataset(tmp_path / "data")
    change, said = BAD[name]
    change(data)
    done = call_export("evaluate", bundle, "--dataset", data, "--out", tmp_path / "out")
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert done.out == ""
    assert not (tmp_path / "out").exists()


def test_target_that_cannot_be_written_is_refused(bundle: Path, tmp_path: Path):
    """A file in place of the folder, or no folder to put it into: one line before any work."""
    data = write_dataset(tmp_path / "data")
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "gone" / "out"):
        done = call_export("evaluate", bundle, "--dataset", data, "--out", out)
        assert done.code == 2
        assert len(done.err.splitlines()) == 1
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.slow
def test_bad_bundle_has_the_exit_code_of_bad_bundles(tmp_path: Path):
    """What is no bundle is refused with 65, as everywhere, and nothing is written."""
    done = call_export("evaluate", tmp_path, "--dataset", write_dataset(tmp_path / "data"), "--out", tmp_path / "out")
    assert done.code == 65
    assert len(done.err.splitlines()) == 1
    assert not (tmp_path / "out").exists()
