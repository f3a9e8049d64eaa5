"""Learning on, end to end, with a tiny network: a coloured square appears in every picture."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from edge_config.bundle import arrays
from edge_config.bundle import files as bundles
from edge_config.bundle import manifest as manifests
from edge_config.errors import TargetExists, UnreadableImage, UsageError
from runtime.inference.load import load
from runtime.learning.grow import new_pictures
from runtime.learning.grow.job import LearningResult, read_result, write_job
from runtime.learning.grow.learn_on import learn_on
from runtime.learning.grow.learner import main
from tests.support import growing, tiny
from tests.support.growing import BLUE, GREEN, RED

SEEDS = range(100, 108)


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return growing.make_parent(tmp_path_factory.mktemp("parent") / "root.bundle")


@pytest.fixture(scope="module")
def blue(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return pictures that a blue square has appeared in."""
    return growing.write(tmp_path_factory.mktemp("blue"), [growing.with_square(seed, BLUE) for seed in SEEDS])


@pytest.fixture(scope="module")
def child(parent: Path, blue: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, LearningResult]:
    """Return a bundle that has learnt the blue square, and the result."""
    out = tmp_path_factory.mktemp("child") / "child.bundle"
    return out, learn_on(growing.job(parent, blue, out, by="ops"))


def threshold(bundle: Path) -> float:
    return bundles.read(bundle).manifest.calibration.threshold


def test_what_was_taught_is_normal_and_a_fault_is_still_found(parent: Path, child: tuple[Path, LearningResult]) -> None:
    """New pictures of the taught kind were over the threshold and are not now; another square is over it as before."""
    pictures = [growing.with_square(seed, BLUE) for seed in range(500, 510)]
    faulty = [growing.with_square(seed, RED, at=(5, 4)) for seed in range(500, 505)]
    before, after = load(parent, 1)[1], load(child[0], 1)[1]
    assert min(growing.scores(before, pictures)) > threshold(parent)
    assert max(growing.scores(after, pictures)) <= threshold(child[0])
    assert min(growing.scores(after, faulty)) > threshold(child[0])
    assert child[1].problems == []


def test_report_says_where_something_is_new(child: tuple[Path, LearningResult]) -> None:
    """The largest place is the box of the blue square, which is in every picture that was learnt."""
    place = child[1].report.places[0]
    assert (place.x, place.y, place.width, place.height, place.pictures) == (8, 6, 16, 12, 6)


def test_old_pictures_score_no_higher(parent: Path, child: tuple[Path, LearningResult]) -> None:
    """No picture, normal or not, scores higher than it did by the parent."""
    before, after = load(parent, 1)[1], load(child[0], 1)[1]
    shown = [*map(tiny.normal_picture, range(600, 610)), *map(tiny.strange_picture, range(600, 605))]
    assert (np.array(growing.scores(after, shown)) <= np.array(growing.scores(before, shown))).all()


def test_arrays_of_the_parent_stay_bit_for_bit(parent: Path, child: tuple[Path, LearningResult]) -> None:
    """Graph, scale, mean and old spacings are the parent's, and its bank is the beginning of the new one."""
    old, new = (arrays.read(path / bundles.BANK, "bank")["bank"] for path in (parent, child[0]))
    assert new[: len(old)].tobytes() == old.tobytes()
    assert len(new) == len(old) + child[1].report.added > len(old)
    one, other = (arrays.read(path / bundles.MEASURE) for path in (parent, child[0]))
    assert other["spacing"][: len(old)].tobytes() == one["spacing"].tobytes()
    assert all(one[name].tobytes() == other[name].tobytes() for name in ("scale", "mean"))
    assert (parent / bundles.MODEL).read_bytes() == (child[0] / bundles.MODEL).read_bytes()


def test_lineage_says_where_it_is_from(parent: Path, blue: list[str], child: tuple[Path, LearningResult]) -> None:
    """The manifest holds the ids of root and parent, the key that asked, and the name and hash of each picture."""
    lineage = bundles.read(child[0]).manifest.lineage
    assert lineage is not None
    root = bundles.read(parent).id
    assert (lineage.root, lineage.parent, lineage.round, lineage.camera, lineage.asked_by) == (
        root, root, 1, "belt", "ops",
    )  # fmt: skip
    files = {Path(path).name: bundles.file_sha256(Path(path)) for path in blue}
    learnt = {one.name: one.sha256 for one in lineage.pictures}
    held = {files[name] for name in child[1].held_out}
    assert learnt.items() <= files.items()
    assert set(files.values()) - set(learnt.values()) == held == {one.sha256 for one in lineage.held_out}
    assert lineage.learnt_entries == lineage.added == child[1].report.added
    assert lineage.threshold_before == threshold(parent)


def test_a_quarter_is_held_out(child: tuple[Path, LearningResult]) -> None:
    """Of eight pictures two are held out, and scored by both bundles."""
    assert len(child[1].held_out) == 2
    assert len(child[1].learnt) == 6
    assert [one.name for one in child[1].report.held_out] == child[1].held_out
    assert all(one.found_before and not one.found_after for one in child[1].report.held_out)


def test_same_pictures_give_the_same_bundle(
    parent: Path, blue: list[str], child: tuple[Path, LearningResult], tmp_path: Path
) -> None:
    """All files are equal byte for byte, and so is the id."""
    out = tmp_path / "again.bundle"
    assert learn_on(growing.job(parent, blue, out, by="ops")).bundle_id == child[1].bundle_id
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        path.name: path.read_bytes() for path in child[0].iterdir()
    }


def test_golden_frames_of_the_child_are_those_of_the_parent(parent: Path, child: tuple[Path, LearningResult]) -> None:
    """The child holds the same frames with its own scores, and the report has both."""
    old, new = (arrays.read(path / bundles.GOLDEN) for path in (parent, child[0]))
    assert old["frame_0"].tobytes() == new["frame_0"].tobytes()
    assert [one.before for one in child[1].report.golden] == old["scores"].tolist()
    assert [one.after for one in child[1].report.golden] == new["scores"].tolist()


def test_a_taught_defect_is_reported(parent: Path, tmp_path: Path) -> None:
    """Where a red square is taught, the known fault and the alert that showed one are named: both are lost."""
    taught = growing.write(tmp_path / "red", [growing.with_square(seed, RED, at=(5, 2)) for seed in SEEDS])
    peak = growing.write(tmp_path / "peaks", [growing.with_square(1, RED, at=(5, 2))])
    found = learn_on(growing.job(parent, taught, tmp_path / "new.bundle", peaks=peak))
    assert [one.lost for one in found.report.peaks] == [True]
    assert any("known fault" in one for one in found.problems)
    assert any("1 of 1 alerts" in one and "000.png" in one for one in found.problems)
    assert (tmp_path / "new.bundle").exists()


def test_the_new_thing_is_no_fault_that_was_found(child: tuple[Path, LearningResult]) -> None:
    """Synthetic faults count where the fault itself is found: the blue square alone, over the threshold, does not."""
    faults = child[1].report.faults
    assert faults.shown > 50
    assert faults.found_before < faults.shown
    assert faults.lost <= faults.found_before - faults.found_after + faults.lost
    assert faults.found_after >= faults.found_before - faults.lost


def test_pictures_that_differ_among_themselves_lift_the_threshold(parent: Path, tmp_path: Path) -> None:
    """Held-out pictures of a kind that was not learnt set the threshold, and that is a problem with their names."""
    colours = [BLUE, BLUE, BLUE, GREEN]
    shown = growing.write(tmp_path / "mixed", [growing.with_square(seed, one) for seed, one in enumerate(colours)])
    found = learn_on(growing.job(parent, shown, tmp_path / "new.bundle"))
    assert found.report.threshold_after > 1.25 * found.report.threshold_before
    assert any("threshold would rise" in one and "003.png" in one for one in found.problems)


def test_few_pictures_are_all_learnt(parent: Path, blue: list[str], tmp_path: Path) -> None:
    """With three pictures none is held out, and the threshold stays."""
    found = learn_on(growing.job(parent, blue[:3], tmp_path / "new.bundle"))
    assert found.held_out == []
    assert found.report.threshold_after == found.report.threshold_before


def test_known_pictures_add_nothing(parent: Path, tmp_path: Path) -> None:
    """Normal pictures as the parent knows them leave the bank as it is."""
    scorer = load(parent, 1)[1]
    normal = [tiny.normal_picture(seed) for seed in range(3000, 3010)]
    shown = growing.write(tmp_path / "grey", [one for one in normal if scorer(one).value <= threshold(parent)])
    found = learn_on(growing.job(parent, shown, tmp_path / "new.bundle"))
    assert found.report.added == 0
    assert (parent / bundles.BANK).read_bytes() == (tmp_path / "new.bundle" / bundles.BANK).read_bytes()
    assert (parent / bundles.INDEX).read_bytes() == (tmp_path / "new.bundle" / bundles.INDEX).read_bytes()


@pytest.mark.slow
def test_ten_rounds_stay_within_the_bounds(parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten rounds of ever other squares: the bank at most doubles, the root's entries stay, every bundle is whole."""
    monkeypatch.setattr("runtime.learning.grow.safety.FAULTS", 4)
    bundle, held, root = parent, [], arrays.read(parent / bundles.BANK, "bank")["bank"]
    dropped = 0
    for number in range(10):
        random = np.random.default_rng(number)
        some = [growing.with_mosaic(seed, random) for seed in range(4)]
        paths = growing.write(tmp_path / f"{number}", [*some, *some[:1]])
        out = tmp_path / f"{number}.bundle"
        found = learn_on(growing.job(bundle, paths, out, hold_out=held))
        held += [path for path in paths if Path(path).name in found.held_out]
        bundle, dropped = out, dropped + found.report.dropped
        bank = arrays.read(out / bundles.BANK, "bank")["bank"]
        lineage = bundles.read(out).manifest.lineage
        assert lineage is not None
        assert lineage.round == number + 1
        assert len(bank) <= 2 * len(root)
        assert lineage.learnt_entries == len(bank) - len(root)
        assert bank[: len(root)].tobytes() == root.tobytes()
        assert not (tmp_path / f"{number}.work").exists()
        load(out, 1)
    assert dropped > 0


def test_held_out_pictures_of_earlier_rounds_are_scored_again(
    parent: Path, blue: list[str], child: tuple[Path, LearningResult], tmp_path: Path
) -> None:
    """A second round scores the kept ones by its own bank; of one that is gone the old score stays."""
    held = [path for path in blue if Path(path).name in child[1].held_out]
    green = growing.write(tmp_path / "green", [growing.with_square(seed, GREEN, at=(5, 4)) for seed in SEEDS])
    found = learn_on(growing.job(child[0], green, tmp_path / "new.bundle", hold_out=held[:1]))
    one, other = (bundles.read(path).manifest.lineage for path in (child[0], tmp_path / "new.bundle"))
    assert one is not None
    assert other is not None
    hashes = [score.sha256 for score in other.held_out]
    gone = next(score for score in one.held_out if score.sha256 != bundles.file_sha256(Path(held[0])))
    assert gone in other.held_out
    assert bundles.file_sha256(Path(held[0])) in hashes
    assert len(hashes) == 4
    assert other.root == one.root
    assert other.parent == child[1].bundle_id
    assert other.root_calibration == one.root_calibration == bundles.read(parent).manifest.calibration
    assert bundles.read(tmp_path / "new.bundle").manifest.calibration.n == 30 + 4
    assert found.problems == []


def test_held_out_pictures_of_another_line_do_not_count(parent: Path, blue: list[str], tmp_path: Path) -> None:
    """A picture that was held out by a round that was rolled back does not set the threshold."""
    strange = growing.write(tmp_path / "red", [growing.with_square(1, RED)])
    found = learn_on(growing.job(parent, blue, tmp_path / "new.bundle", hold_out=strange))
    assert [one.name for one in found.report.held_out] == found.held_out
    assert found.problems == []


def test_pictures_that_were_deleted_meanwhile_are_named(parent: Path, blue: list[str], tmp_path: Path) -> None:
    """Kept pictures may be deleted at any time: learning goes on without them, and says which."""
    gone = [str(tmp_path / "held.png"), str(tmp_path / "peak.png")]
    found = learn_on(growing.job(parent, blue, tmp_path / "new.bundle", hold_out=gone[:1], peaks=gone[1:]))
    assert found.missing == ["held.png", "peak.png"]
    assert found.report.peaks == []


def test_what_is_ignored_is_not_learnt(tmp_path: Path) -> None:
    """Where the bundle does not look, nothing new is learnt and no fault is shown; elsewhere it is as ever."""
    left = ((0, 0), (31, 0), (31, 47), (0, 47))
    bundle = growing.make_parent(tmp_path / "root.bundle", ignore=(left,))
    scorer = load(bundle, 1)[1]
    seeds = [seed for seed in range(60) if scorer(tiny.normal_picture(seed)).value <= threshold(bundle)][:8]
    unseen = growing.write(tmp_path / "unseen", [growing.with_square(seed, BLUE) for seed in seeds])
    seen = growing.write(tmp_path / "seen", [growing.with_square(seed, BLUE, at=(5, 2)) for seed in seeds])
    one = learn_on(growing.job(bundle, unseen, tmp_path / "one.bundle")).report
    other = learn_on(growing.job(bundle, seen, tmp_path / "other.bundle")).report
    banks = [arrays.read(tmp_path / f"{name}.bundle" / bundles.BANK, "bank")["bank"] for name in ("one", "other")]
    size = other.entries_before
    assert not any(picture.found_before for picture in one.learnt)
    assert one.faults.shown == other.faults.shown == 128
    colourful = [np.ptp(bank[size:], axis=1).max(initial=0) > 100 for bank in banks]
    assert colourful == [False, True]


def test_a_scene_that_is_too_new_is_said(parent: Path, tmp_path: Path) -> None:
    """Pictures that need more entries than the root has are not learnt in full, and that is a problem."""
    random = np.random.default_rng(0)
    shown = [random.integers(0, 256, (8, 8, 3), dtype=np.uint8).repeat(6, axis=0).repeat(8, axis=1) for _ in range(9)]
    found = learn_on(growing.job(parent, growing.write(tmp_path / "new", shown), tmp_path / "new.bundle"))
    assert found.report.added == 256
    assert any("too new" in one for one in found.problems)


def test_a_run_that_was_killed_goes_on(
    parent: Path, blue: list[str], child: tuple[Path, LearningResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features that were kept are not made again, damaged ones are, and the bundle is the same."""
    job = growing.job(parent, blue, tmp_path / "new.bundle", by="ops")
    with monkeypatch.context() as patch:
        patch.setattr("runtime.learning.grow.learn_on.grow", _fail)
        with pytest.raises(KeyboardInterrupt):
            learn_on(job)
    kept = sorted(Path(job.work).iterdir())
    assert len(kept) == 6
    kept[0].write_bytes(kept[0].read_bytes()[:100])
    kept[1].write_bytes(b"")
    flipped = bytearray(kept[2].read_bytes())
    flipped[35] ^= 0x40  # of the exponent of its first number
    kept[2].write_bytes(flipped)
    monkeypatch.setattr(new_pictures, "MAX_KEPT_BYTES", 0)
    assert learn_on(job).bundle_id == child[1].bundle_id
    assert not Path(job.work).exists()
    assert not list(tmp_path.glob(".*"))


def _fail(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_only_its_own_files_are_removed(parent: Path, blue: list[str], tmp_path: Path) -> None:
    """What else is in the folder for features stays, the new bundle included."""
    job = growing.job(parent, blue[:3], tmp_path / "new.bundle", work=str(tmp_path))
    (tmp_path / "else").touch()
    (tmp_path / ".x.features.1.part").touch()
    learn_on(job)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["else", "new.bundle"]


def test_a_bundle_with_reweighted_scores_is_refused(blue: list[str], tmp_path: Path) -> None:
    """The score `paper` can rise where the bank grows: one line says so, and nothing is left behind."""
    bundle = growing.make_parent(tmp_path / "paper.bundle", "paper")
    with pytest.raises(UsageError, match="paper"):
        learn_on(growing.job(bundle, blue, tmp_path / "new.bundle"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["paper.bundle"]


def test_a_bundle_without_a_radius_is_refused(parent: Path, blue: list[str], tmp_path: Path) -> None:
    """A bundle of an earlier version cannot grow."""
    shutil.copytree(parent, tmp_path / "old.bundle")
    manifest = bundles.read(parent).manifest
    coreset = msgspec.structs.replace(manifest.coreset, serving_radius=None)
    changed = manifests.encode(msgspec.structs.replace(manifest, coreset=coreset))
    (tmp_path / "old.bundle" / bundles.MANIFEST).write_bytes(changed)
    with pytest.raises(UsageError, match="learn it again"):
        learn_on(growing.job(tmp_path / "old.bundle", blue, tmp_path / "new.bundle"))


def test_an_existing_bundle_is_not_replaced(parent: Path, blue: list[str], child: tuple[Path, LearningResult]) -> None:
    """Where a bundle is, none is written without force."""
    with pytest.raises(TargetExists):
        learn_on(growing.job(parent, blue, child[0]))


def test_a_damaged_picture_is_named(parent: Path, blue: list[str], tmp_path: Path) -> None:
    """A file that is no picture ends the run, with its name, and leaves no bundle."""
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    with pytest.raises(UnreadableImage, match=r"bad\.png"):
        learn_on(growing.job(parent, [*blue, str(bad)], tmp_path / "new.bundle"))
    assert not (tmp_path / "new.bundle").exists()


def test_copies_of_a_picture_count_once(parent: Path, blue: list[str], tmp_path: Path) -> None:
    """The same file twice is learnt once, so that a copy is never held out of its twin."""
    copy = tmp_path / "copy.png"
    shutil.copy(blue[0], copy)
    found = learn_on(growing.job(parent, [*blue[:3], str(copy)], tmp_path / "new.bundle"))
    assert found.held_out == []
    assert len(found.learnt) == 3


def test_pictures_are_split_into_stretches() -> None:
    """The held-out quarter is the ends of contiguous stretches, not every fourth picture."""
    some = [new_pictures.PictureFile(Path(f"{number}"), "", 8) for number in range(40)]
    learnt, held = new_pictures.split(some)
    assert [int(one.name) for one in held] == [8, 9, 18, 19, 28, 29, 38, 39] or len(held) == 10
    assert len(learnt) + len(held) == 40


@pytest.mark.slow
def test_the_program_writes_bundle_and_result(
    parent: Path, blue: list[str], child: tuple[Path, LearningResult], tmp_path: Path
) -> None:
    """It prints progress as JSON, ends with 0, and beside the bundle is the result."""
    job = growing.job(parent, blue, tmp_path / "new.bundle", by="ops", memory_mb=2048)
    write_job(tmp_path / "job.json", job)
    command = [sys.executable, "-m", "runtime.learning.grow.learner", str(tmp_path / "job.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    stages = [json.loads(line)["stage"] for line in done.stdout.splitlines()]
    assert stages[0] == "load"
    assert stages[-1] == "seal"
    assert done.stderr == ""
    result = read_result(job.out)
    assert result is not None
    assert result.bundle_id == child[1].bundle_id


def test_the_program_says_in_one_line_why_not(parent: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its exit code is that of the error, its complaint one line, and there is neither bundle nor result."""
    write_job(tmp_path / "job.json", growing.job(parent, [str(tmp_path / "none.png")], tmp_path / "new.bundle"))
    assert main([str(tmp_path / "job.json")]) == UsageError.exit_code
    assert capsys.readouterr().err.count("\n") == 1
    assert read_result(tmp_path / "new.bundle") is None
    assert main([str(tmp_path / "no-job.json")]) == UsageError.exit_code
    (tmp_path / "bad.json").write_text('{"bundle": 3}')
    assert main([str(tmp_path / "bad.json")]) == UsageError.exit_code


def test_pictures_are_read_as_they_were_scored(parent: Path, tmp_path: Path) -> None:
    """The score that the report has for a picture is the one that a device gives it."""
    shown = growing.write(tmp_path / "some", [growing.with_square(seed, BLUE) for seed in range(3)])
    found = learn_on(growing.job(parent, shown, tmp_path / "new.bundle"))
    before = load(parent, 1)[1]
    images = [cv2.imread(path) for path in shown]
    assert [one.before for one in found.report.learnt] == growing.scores(before, images)
