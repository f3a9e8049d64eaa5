"""The page of a fit: it needs nothing but itself, says what `--json` says, and is written like the bundle."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from export.report.target import refuse_page
from runtime.camera.image_files import read_picture
from runtime.inference.load import load
from runtime.scoring.scorer import Scorer
from tests.support.small import call_export, small_options, write_colours
from tests.support.tiny import write_pictures

PAGE = "x.report.html"


def options(folder: Path, **more: Any) -> list[str]:
    return [word for word in small_options(folder, folder / "x.bundle", **more) if word != "--no-report"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """Fit with a test set; give the folder, the facts and the page."""
    folder = tmp_path_factory.mktemp("made")
    write_colours(folder / "set" / "test" / "good", 3, first=50)
    write_pictures(folder / "set" / "test" / "red", {1, 2, 3, 4}, 4)
    done = call_export("fit", *options(folder), "--test-set", folder / "set", "--json", "--hold-out", "0.5")
    assert done.code == 0, done.err
    return folder, json.loads(done.out), (folder / PAGE).read_text()


def tables(page: str) -> list[list[list[str]]]:
    """Return the tables of a page: rows of cells."""
    return [
        [
            [unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
            for row in re.findall(r"<tr>(.*?)</tr>", table)
        ]
        for table in re.findall(r"<table>(.*?)</table>", page)
    ]


def table(page: str, corner: str) -> list[list[str]]:
    """Return the rows of the table whose first cell is `corner`, without its heading."""
    (rows,) = (rows for rows in tables(page) if rows and rows[0][0] == corner and len(rows[0]) > 2)
    return rows[1:]


@pytest.mark.slow
def test_page_needs_nothing_but_itself(made: tuple[Path, dict[str, Any], str]) -> None:
    """The page loads nothing from elsewhere, runs no script, and follows the browser's light or dark."""
    page = made[2]
    addresses = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)""", page)
    assert all(address.startswith(("data:image/", "#")) for address in addresses)
    assert "http" not in re.sub(r"base64,[^\"]*", "", page)
    assert "<script" not in page
    assert "@import" not in page
    assert "prefers-color-scheme: dark" in page
    assert page.count("<svg") == page.count("</svg>") == 2  # histogram, colours of the heat maps
    assert "#000000" not in page  # black ink could not be read in the dark


@pytest.mark.slow
def test_page_says_what_json_says(made: tuple[Path, dict[str, Any], str]) -> None:
    """Faults, trade-off, time, options and versions of the page are the figures of --json."""
    folder, facts, page = made
    choice = facts["choice"]
    assert facts["page"] == str(folder / PAGE)
    for kind in ("spot", "scratch", "stain"):
        rows = [row for row in choice["faults"]["found"] if row["kind"] == kind]
        cells = [cell for row in table(page, f"{kind}, pixels") for cell in row[1:]]
        assert cells == [share(row["share"]) for row in rows]
    promises, found = (each[1:] for each in tables(page) if each and each[0][0] == "rate")
    for row, of, rate in zip(promises, found, choice["rates"], strict=True):
        assert row == [
            f"{rate['alpha']:.1%}",
            f"{rate['threshold']:.3f}",
            f"{rate['promised_alpha']:.2%}",
            f"{rate['upper_alpha']:.2%}",
            share(rate["detected"]),
            share(rate["false_alarms"]),
        ]
        assert of == [row[0], *(f"{found:.0%}" for found in (*rate["by_size"], *rate["by_contrast"]))]
    shown = {row[0]: row[1] for rows in tables(page) for row in rows if len(row) == 2}
    assert all(shown[stage] == f"{spent:.1f} s" for stage, spent in facts["seconds"].items() if stage != "faults")
    assert all(shown[package] == version for package, version in facts["manifest"]["versions"].items())
    assert shown["--hold-out"] == "0.5"
    assert facts["bundle_id"] in page


def count_above(scorer: Scorer, folder: Path, threshold: float) -> int:
    return sum(scorer(read_picture(file)).value > threshold for file in folder.iterdir())


def share(counted: dict[str, Any]) -> str:
    return f"{counted['found']} of {counted['of']} ({counted['low']:.0%} to {counted['high']:.0%})"


@pytest.mark.slow
def test_strangest_pictures_are_shown_in_their_order(made: tuple[Path, dict[str, Any], str]) -> None:
    """Each of the strangest pictures is there with its heat map and the figures of --json, the strangest first."""
    _, facts, page = made
    captions = re.findall(r"<figure><img[^>]*><figcaption>(.*?)</figcaption>", page)
    for picture, caption in zip(facts["strangest"], captions, strict=True):
        assert caption.startswith(picture["name"])
        assert ("foreign" in caption, "held out" in caption) == (picture["foreign"], not picture["learnt"])
        assert caption.endswith(f"score {picture['score']:.3f}, {picture['deviations']:.1f} deviations")
    assert sum(facts["choice"]["scores"]["learnt"]) == 6


@pytest.mark.slow
def test_regions_are_drawn(tmp_path: Path) -> None:
    """With --ignore the page shows a picture with the polygon, and what may vary with what it costs."""
    words = ("--ignore", "0,0,60,0,60,60,0,60", "--may-vary", "light=20%", "--tolerance-cost", "--json")
    done = call_export("fit", *options(tmp_path), *words)
    assert done.code == 0, done.err
    page = (tmp_path / PAGE).read_text()
    assert 'alt="a picture with the regions drawn into it"' in page
    (cost,) = json.loads(done.out)["tolerance_costs"]
    shares = [f"{cost[name]:.1%}" for name in ("found_without", "found")]
    assert table(page, "tolerance") == [[cost["tolerance"], *shares]]


@pytest.mark.slow
def test_facts_fit_together(made: tuple[Path, dict[str, Any], str]) -> None:
    """Every held-out picture is in the histogram, and the row of the bundle's rate has its threshold and promise."""
    folder, facts, _ = made
    calibration, choice = facts["manifest"]["calibration"], facts["choice"]
    assert sum(choice["scores"]["held_out"]) == calibration["n"] == 6
    (own,) = (rate for rate in choice["rates"] if rate["alpha"] == calibration["alpha"])
    for name in ("threshold", "promised_alpha", "upper_alpha"):
        assert own[name] == calibration[name]
    assert choice["test_set"] == {"normal": 3, "anomalous": 4, "image_auroc": 1.0}
    _, scorer = load(folder / "x.bundle")
    above = {kind: count_above(scorer, folder / "set" / "test" / kind, own["threshold"]) for kind in ("red", "good")}
    assert (own["detected"]["found"], own["detected"]["of"]) == (above["red"], 4)
    assert (own["false_alarms"]["found"], own["false_alarms"]["of"]) == (above["good"], 3)
    assert choice["patch"] == {"picture_hw": [120, 160], "cell_hw": [7.5, 10.0]}
    assert sum(row["share"]["of"] for row in choice["faults"]["found"]) == choice["faults"]["frames"]


@pytest.mark.slow
def test_summary_names_the_smallest_fault_and_the_page(tmp_path: Path) -> None:
    """The summary says which synthetic faults are found, and where the page is; with --no-report neither."""
    words = options(tmp_path)
    said = call_export("fit", *words).out
    assert re.search(r"^small faults  .*likely", said, re.MULTILINE)
    assert f"\nreport        {tmp_path / PAGE}\n" in f"{said}\n"
    said = call_export("fit", *words, "--force", "--no-report").out
    assert "small faults" not in said
    assert "report " not in said


@pytest.mark.slow
def test_same_fit_gives_the_same_facts(made: tuple[Path, dict[str, Any], str], tmp_path: Path) -> None:
    """Pictures and seed decide the synthetic faults and all that follows from them."""
    folder, facts, _ = made
    out = ("--out", tmp_path / "y.bundle", "--json", "--hold-out", "0.5", "--test-set", folder / "set")
    again = json.loads(call_export("fit", *options(folder), *out).out)
    assert again["choice"] == facts["choice"]


def test_page_that_is_there_is_not_replaced_without_force(tmp_path: Path) -> None:
    """A page is refused at once like a bundle, and with --force only a page is replaced."""
    words = options(tmp_path)
    page = tmp_path / PAGE
    for there, force, said in (
        ("<!DOCTYPE html>old", [], "exists already"),
        ("my notes", ["--force"], "is not a page, and will not be replaced"),
    ):
        page.write_text(there)
        done = call_export("fit", *words, *force)
        assert done.code == 2
        assert f"{page}: {said}" in done.err
        assert len(done.err.splitlines()) == 1
        assert page.read_text() == there
        assert not (tmp_path / "x.bundle").exists()
    page.unlink()
    page.symlink_to(tmp_path / "elsewhere")
    assert call_export("fit", *words, "--force").code == 2


def test_page_is_beside_the_bundle_whatever_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From inside a bundle, `.` has its page beside it too; a bundle without the usual ending keeps its whole name."""
    (tmp_path / "a.bundle" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a.bundle")
    beside = str(tmp_path / "a.report.html")
    assert refuse_page(Path(), unwanted=False, force=True) == beside
    assert refuse_page(Path("b/.."), unwanted=False, force=False) == beside
    assert refuse_page(Path("press.3"), unwanted=False, force=False) == "press.3.report.html"
    assert refuse_page(Path("press.3"), unwanted=True, force=False) is None


@pytest.mark.slow
def test_old_page_is_replaced_with_force(tmp_path: Path) -> None:
    """With --force the page belongs to the new bundle, and nothing else is left beside it."""
    words = options(tmp_path)
    (tmp_path / PAGE).write_text("<!DOCTYPE html>old")
    done = call_export("fit", *words, "--force", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["bundle_id"] in (tmp_path / PAGE).read_text()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["images", "small.onnx", "x.bundle", PAGE]
