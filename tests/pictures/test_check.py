"""What `fit` says before the work begins, and what it refuses to learn from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge_config.bundle import files as bundles
from edge_config.errors import NoImages, TooFewImages, UsageError
from runtime.camera.image_files import read_picture, to_8_bits
from runtime.inference.load import load
from runtime.learning.pictures.check import check_pictures
from runtime.learning.pictures.images import Pictures
from runtime.learning.pictures.sizes import Crop
from runtime.learning.pictures.survey import Survey
from tests.programs.bench.published import published_scores
from tests.support.small import call_export, colour_picture, small_options, write_colours

LEAST = 4

SAME_SCORE = 1e-6
"""Relative: the process that serves and this one compute the same."""


def survey(folder: Path, **options: Any) -> Survey:
    """Look at a folder as `fit` does."""
    return check_pictures(Pictures(folder), least=LEAST, **options)


def write(folder: Path, count: int, size: tuple[int, int] = (64, 48), first: int = 0) -> Path:
    """Write pictures of noise with this width and height."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        image = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number:03d}.png"), image)
    return folder


def write_deep(folder: Path, count: int, most: int, shift: int = 0) -> Path:
    """Write pictures of 16 bits with values up to `most`, which is there, then shifted."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        image = np.random.default_rng(number).integers(0, most + 1, (120, 160, 3)).astype(np.uint16)
        image[0, 0] = most
        cv2.imwrite(str(folder / f"{number:03d}.png"), image << shift)
    return folder


def fit_small(folder: Path, images: Path, *more: object, name: str = "a.bundle") -> tuple[Path, str, str]:
    """Fit the small network; give bundle, summary and what was said on stderr."""
    words = small_options(folder / "net", folder / name, count=0)
    done = call_export("fit", *words, "--images", images, *more)
    assert done.code == 0, done.err
    return folder / name, done.out, done.err


def refused(folder: Path, images: Path, *more: object) -> str:
    """Fit the small network, and give the one line that refuses it."""
    words = small_options(folder / "net", folder / "refused.bundle", count=0)
    done = call_export("fit", *words, "--images", images, *more)
    assert done.code == 2
    assert not (folder / "refused.bundle").exists()
    lines = done.err.strip().splitlines()
    assert len(lines) == 1, done.err
    return lines[0]


def test_what_is_passed_over_is_counted_by_suffix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files that are not read are said by suffix with their numbers, in subfolders too; hidden ones are nobody's."""
    images = write(tmp_path / "images", 5)
    for name in ("a.avif", "b.AVIF", "sub/c.heic", "notes.txt", ".hidden.avif", "Makefile"):
        (images / name).parent.mkdir(exist_ok=True)
        (images / name).touch()
    found = survey(images)
    assert found.passed_over == {".avif": 2, ".heic": 1, ".txt": 1, "no suffix": 1}
    assert "5 files are passed over: 2 .avif" in found.notes[0]
    assert f"note: {found.notes[0]}" in capsys.readouterr().err


def test_more_pictures_passed_over_than_read_are_refused(tmp_path: Path) -> None:
    """Where most pictures are in a format that is not read, learning from the others is not what was meant."""
    images = write(tmp_path / "images", 5)
    for number in range(6):
        (images / f"{number}.heic").touch()
    with pytest.raises(UsageError, match=r"6 \.heic; 5 pictures are read; convert them"):
        survey(images)


def test_a_folder_of_other_pictures_says_which(tmp_path: Path) -> None:
    """A folder that holds only what is not read is refused, and the counts are in the line."""
    (tmp_path / "a.avif").touch()
    with pytest.raises(NoImages, match=r"no pictures here \(1 \.avif passed over\)"):
        Pictures(tmp_path)


@pytest.mark.parametrize("layout", [("train/good", "test/good", "test/crack", "ground_truth/crack"), ("test/crack",)])
def test_the_root_of_a_data_set_is_refused(tmp_path: Path, layout: tuple[str, ...]) -> None:
    """Faults and masks are never learnt because somebody gave one folder too few; where the normal ones are is said."""
    for folder in layout:
        write(tmp_path / "set" / folder, 4)
    line = refused(tmp_path, tmp_path / "set")
    assert "looks like the root of a data set" in line
    assert (f"give {tmp_path / 'set/train/good'}" in line) == ("train/good" in layout)


def test_good_beside_faults_is_refused(tmp_path: Path) -> None:
    """`test` of a data set holds good and faults side by side; the remedy is the one, or another name."""
    for folder in ("good", "scratch"):
        write(tmp_path / "test" / folder, 4)
    with pytest.raises(UsageError, match=r"a folder good beside others, such as scratch.*give .*/test/good"):
        survey(tmp_path / "test")


def test_masks_beside_pictures_are_refused(tmp_path: Path) -> None:
    """A picture that is a mask by its name is not learnt."""
    images = write(tmp_path / "images", 5)
    shutil.copy(images / "000.png", images / "000_mask.png")
    with pytest.raises(UsageError, match=r"1 pictures are masks by their names, such as 000_mask\.png"):
        survey(images)


def test_a_folder_in_days_is_no_data_set(tmp_path: Path) -> None:
    """Subfolders of any other name are walked as ever, also below a folder that is called test itself."""
    for day in ("monday", "tuesday/morning"):
        write(tmp_path / "test" / "good" / day, 3, first=len(day))
    assert survey(tmp_path / "test" / "good").pictures == 6


def test_sizes_are_counted_and_mixed_ones_said(tmp_path: Path) -> None:
    """Pictures of several sizes are squashed into one shape: how many of each, and by how much."""
    images = write(tmp_path / "images", 5)
    write(images, 3, (60, 48), first=10)
    found = survey(images)
    assert found.sizes == {"64 x 48": 5, "60 x 48": 3}
    assert "2 sizes: 5 of 64 x 48, 3 of 60 x 48; squashed into one shape, their proportions differ by 1.07" in str(
        found.notes
    )


@pytest.mark.parametrize(("size", "what"), [((48, 64), "distort these by 1.8 to 1"), ((320, 240), "5.0 times larger")])
def test_sizes_that_one_bundle_cannot_hold_are_refused(tmp_path: Path, size: tuple[int, int], what: str) -> None:
    """Portrait beside landscape, or a thumbnail beside the whole, is two scenes; a stray picture is named."""
    images = write(tmp_path / "images", 5)
    write(images, 1, size, first=3)  # in place of the fourth
    line = refused(tmp_path, images)
    assert what in line
    assert f"; 003.png is one of 1 of {size[0]} x {size[1]}: remove what does not belong there" in line
    assert "learn a bundle from each" in line


def test_a_wide_picture_is_said_to_be_squashed(tmp_path: Path) -> None:
    """Pictures that are all alike but far from square lose details along one side: that is said."""
    assert "256 x 32 are squashed 8.0 to 1" in str(survey(write(tmp_path / "images", 5, (256, 32))).notes)


def test_what_the_crop_does_not_see_is_said(tmp_path: Path) -> None:
    """Of a wide picture the paper's crop leaves 6 % at each end unseen: percent and pixels, and what sees all."""
    images = write(tmp_path / "images", 5, (192, 108))
    found = survey(images, crop=Crop(256, 224))
    assert found.unseen == 16 / 256
    assert "6.2% of a picture at each of its four ends (12 pixels left and right, 7 above and below" in str(found.notes)
    assert "without --resize it sees all" in str(found.notes)


def test_a_crop_that_blinds_is_refused_unless_it_is_wanted(tmp_path: Path) -> None:
    """Beyond the bound `fit` refuses, and the option that it names lets it pass."""
    images = write_colours(tmp_path / "images", 8)
    line = refused(tmp_path, images, "--resize", 96)
    assert "16.7% of a picture at each" in line
    assert "--accept-crop" in line
    _, out, err = fit_small(tmp_path, images, "--resize", 96, "--accept-crop")
    assert "16.7% of a picture at each" in err
    assert "16.7% of a picture at each" in out


@pytest.mark.slow
def test_copies_teach_nothing(tmp_path: Path) -> None:
    """Eight copies of ten pictures, in other files and formats, make the very bank and threshold of the ten."""
    once = write_colours(tmp_path / "once", 10)
    often = tmp_path / "often"
    for copy in range(8):
        (often / f"{copy}").mkdir(parents=True)
        for file in once.iterdir():
            image = cv2.imread(str(file))
            target = often / f"{copy}" / (file.stem + (".bmp" if copy % 2 else ".png"))
            cv2.imwrite(str(target), image)
    first, _, _ = fit_small(tmp_path, once, name="once.bundle")
    second, out, err = fit_small(tmp_path, often, name="often.bundle")
    assert "70 of 80 pictures are the same as another one, pixel by pixel: each is counted once, 10 remain" in err
    assert "70 of 80 pictures" in out
    for name in (bundles.BANK, bundles.MODEL, bundles.NEIGHBOURS):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert bundles.read(first).manifest.calibration == bundles.read(second).manifest.calibration


def test_copies_of_one_picture_are_refused_for_what_they_are(tmp_path: Path) -> None:
    """A hundred copies of a picture are one picture, and the line says so."""
    images = write(tmp_path / "images", 1)
    for number in range(1, 100):
        shutil.copy(images / "000.png", images / f"{number:03d}.png")
    with pytest.raises(
        TooFewImages, match=r"99 of 100 pictures are the same as another one.*: of different ones there are 1, at"
    ):
        survey(images)


def test_repeated_frames_of_a_video_are_counted_once(tmp_path: Path) -> None:
    """Of a clip whose frames come twice, each counts once."""
    fourcc = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.CAP_OPENCV_MJPEG, fourcc, 10, (160, 120))
    for number in range(8):
        for _ in range(2):
            writer.write(colour_picture(number))
    writer.release()
    pictures = Pictures(tmp_path / "clip.avi")
    found = check_pictures(pictures, least=LEAST)
    assert (found.pictures, found.copies) == (16, 8)
    assert len(list(pictures)) == 8


@pytest.mark.parametrize(
    ("most", "shift", "depth", "levels"),
    [(4095, 0, 12, 256), (500, 0, 9, 251), (4095, 4, 16, 256), (65535, 0, 16, 256), (200, 0, 8, 201)],
)
def test_depth_is_what_the_pictures_need(tmp_path: Path, most: int, shift: int, depth: int, levels: int) -> None:
    """Twelve bits in sixteen, in dim light, shifted up or full: the depth is the fewest bits that hold all values."""
    found = survey(write_deep(tmp_path / "images", 4, most, shift))
    assert (found.deep, found.largest, found.depth) == (4, most << shift, depth)
    assert found.levels == levels
    assert f"use {levels} of 256 grey levels" in str(found.notes)


def test_a_depth_that_wastes_what_is_there_is_said(tmp_path: Path) -> None:
    """Twelve bits read as sixteen are 16 levels: the note names the depth that uses them."""
    found = survey(write_deep(tmp_path / "images", 4, 4095), depth=16)
    assert (found.depth, found.levels) == (16, 16)
    assert "16 grey levels are few (fewer than 32): fit with --depth 12" in str(found.notes)


def test_hot_pixels_do_not_darken_a_dim_picture(tmp_path: Path) -> None:
    """One hot pixel at 4095 leaves the depth at what the dim others need: it is white, and that is said."""
    images = write_deep(tmp_path / "images", 4, 300)
    hot = cv2.imread(str(images / "000.png"), cv2.IMREAD_UNCHANGED)
    hot[5, 5] = 4095
    cv2.imwrite(str(images / "000.png"), hot)
    found = survey(images)
    assert (found.largest, found.depth, found.levels) == (4095, 9, 152)
    assert "0.0013% of the values are above what depth 9 holds, and white" in str(found.notes)


def test_a_depth_that_leaves_no_picture_is_refused(tmp_path: Path) -> None:
    """Twelve bits in dim light read as sixteen are 2 grey levels: refused, with the depth that uses them."""
    images = write_deep(tmp_path / "images", 6, 500)
    line = refused(tmp_path, images, "--depth", 16)
    assert "at depth 16 they use 2 of 256 grey levels (at least 8 are needed); give --depth 9, or auto" in line


def test_a_depth_that_is_too_small_is_said(tmp_path: Path) -> None:
    """Values above what the depth holds are white, and their share is said."""
    found = survey(write_deep(tmp_path / "images", 4, 4095), depth=11)
    assert found.white == pytest.approx(0.5, abs=0.02)
    assert "% of the values are above what depth 11 holds, and white" in str(found.notes)


def test_pictures_of_8_bits_have_no_depth(tmp_path: Path) -> None:
    """Pictures of 8 bits, alike and of one size, leave nothing to say."""
    found = survey(write(tmp_path / "images", 5))
    assert (found.depth, found.deep, found.notes) == (16, 0, [])


def test_a_depth_that_changes_nothing_is_said(tmp_path: Path) -> None:
    """An option is not ignored in silence: where no picture has 16 bits, a depth means nothing, and that is said."""
    assert survey(write(tmp_path / "images", 5), depth=12).notes == [
        "no picture has 16 bits: depth 12 changes nothing here"
    ]


@pytest.mark.parametrize("depth", range(8, 17))
def test_conversion_is_one_shift_for_all_values(depth: int) -> None:
    """Every value of 16 bits keeps the high 8 of the depth's bits, and all above are white."""
    values = np.arange(1 << 16, dtype=np.uint16)
    wanted = [min(value // 2 ** (depth - 8), 255) for value in range(1 << 16)]
    assert (to_8_bits(values, depth) == np.array(wanted)).all()


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_grey_pictures_of_full_depth_are_read_as_ever(tmp_path: Path, suffix: str) -> None:
    """At depth 16 a grey picture of 16 bits gives its high 8, by either way to read it."""
    image = np.random.default_rng(0).integers(0, 1 << 16, (40, 60)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / f"a{suffix}"), image)
    assert (read_picture(tmp_path / f"a{suffix}")[..., 1] == image >> 8).all()
    assert (read_picture(tmp_path / f"a{suffix}", 12)[..., 1] == np.minimum(image >> 4, 255)).all()


@pytest.mark.slow
def test_what_is_learnt_is_what_is_served(tmp_path: Path) -> None:
    """The bundle holds the depth, and a device that plays pictures of 16 bits shows the scorer what `fit` saw.

    A picture that is darker than all others is not stretched by its own maximum.
    """
    images = write_deep(tmp_path / "images", 8, 4095)
    dim = cv2.imread(str(images / "000.png"), cv2.IMREAD_UNCHANGED) >> 4
    bundle, _, err = fit_small(tmp_path, images)
    assert "8 pictures have 16 bits: values up to 4095 need 12" in err
    read, scorer = load(bundle, 1)
    assert read.manifest.preprocessing.depth == 12
    played = tmp_path / "played"
    played.mkdir()
    shutil.copy(images / "003.png", played / "a.png")
    cv2.imwrite(str(played / "b.png"), dim)
    deep = cv2.imread(str(images / "003.png"), cv2.IMREAD_UNCHANGED)
    wanted = [scorer((image >> 4).astype(np.uint8)).value for image in (deep, dim)]
    served = [message.score for message in published_scores(bundle, played, 2)]
    assert served == pytest.approx(wanted, rel=SAME_SCORE)
    assert served[0] < served[1]


@pytest.mark.slow
def test_recalibrate_looks_as_fit_does(tmp_path: Path) -> None:
    """New pictures are read at the bundle's depth, copies count once, and faults beside them are refused."""
    bundle, _, _ = fit_small(tmp_path, write_deep(tmp_path / "images", 8, 4095))
    new = write_deep(tmp_path / "new", 6, 2000)
    shutil.copy(new / "000.png", new / "copy.png")
    done = call_export("recalibrate", bundle, "--images", new, "--out", tmp_path / "b.bundle", "--force")
    assert done.code == 0, done.err
    assert "1 of 7 pictures are the same as another one" in done.err
    assert "at depth 12 they use 126 of 256 grey levels" in done.out
    found = bundles.read(tmp_path / "b.bundle").manifest
    assert (found.calibration.n, found.preprocessing.depth) == (6, 12)
    write(new / "bad", 1)
    again = call_export("recalibrate", bundle, "--images", new, "--out", tmp_path / "c.bundle")
    assert again.code == 2
    assert "its folder bad holds other than normal pictures" in again.err


def test_recalibrate_looks_at_the_shape(tiny_bundle: Path, tmp_path: Path) -> None:
    """Pictures of another shape than those that were learnt from are said, and beyond the bound refused."""
    words = ("recalibrate", tiny_bundle, "--out", tmp_path / "new.bundle", "--force")
    near = call_export(*words, "--images", write(tmp_path / "near", 5, (72, 48)))
    assert near.code == 0, near.err
    assert "72 x 48 have other proportions than those that were learnt from (1.33 to 1)" in near.err
    far = call_export(*words, "--images", write(tmp_path / "far", 5, (48, 64)))
    assert far.code == 2
    assert "they differ by 1.78 to 1 (at most 1.5); crop them to that shape, or learn them with fit" in far.err


@pytest.mark.slow
def test_evaluate_reads_at_the_depth_and_counts_copies(tmp_path: Path) -> None:
    """A test set of 16 bits is scored as the device does, masks whose only value is 1 count, and copies are said."""
    bundle, _, _ = fit_small(tmp_path, write_deep(tmp_path / "images", 8, 4095))
    test = tmp_path / "set" / "test"
    write_deep(test / "good", 3, 4095)
    write_deep(test / "dim", 2, 300)
    shutil.copy(test / "good" / "000.png", test / "good" / "copy.png")
    (test / "good" / "a.heic").touch()
    masks = tmp_path / "set" / "ground_truth" / "dim"
    masks.mkdir(parents=True)
    for number in range(2):
        cv2.imwrite(str(masks / f"00{number}_mask.png"), np.ones((120, 160), dtype=np.uint16))
    words = ("--dataset", tmp_path / "set", "--out", tmp_path / "out", "--json")
    done = call_export("evaluate", bundle, *words)
    assert done.code == 0, done.err
    figures = json.loads(done.out)
    assert figures["image_auroc"] == 1.0
    assert "1 of 6 pictures are the same as another one" in str(figures["notes"])
    assert "1 files are passed over: 1 .heic" in str(figures["notes"])
    assert "mark nothing" not in str(figures["notes"])


def test_the_report_holds_what_was_said(tmp_path: Path) -> None:
    """`--json` has the whole survey, and the settings file takes the new options."""
    images = write_deep(tmp_path / "images", 6, 4095)
    (tmp_path / "fit.yaml").write_text("depth: 13\naccept_crop: true\n")
    _, out, _ = fit_small(tmp_path, images, "--json", "--config", tmp_path / "fit.yaml")
    found = json.loads(out)["survey"]
    assert (found["depth"], found["largest"], found["sizes"], found["copies"]) == (13, 4095, {"160 x 120": 6}, 0)
    assert len(found["notes"]) == 1
