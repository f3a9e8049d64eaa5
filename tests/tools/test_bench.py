"""`patchedge bench` as a user calls it: what it reports and what it refuses, not how fast anything is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from threadpoolctl import threadpool_limits

from edge_config.bundle import files as bundles
from tests.support.forge import reseal
from tests.support.small import Done, call_device, write_colours

pytestmark = pytest.mark.slow

PICTURES, WARM_UP = 20, 5

STAGES = ("inspect", "preprocess", "graph", "search", "score", "publish")
BESIDE = ("decode", "frame", "network", "whole_search", "map")

SAME = 1e-9
"""Relative: quotients and sums of the same float64, in another order."""

AT_ONCE_S = 45
"""Three processes start and end in a few seconds; a wait for a message that never comes takes a minute."""


@pytest.fixture(scope="module", autouse=True)
def threads() -> Iterator[None]:
    """Put back the bounds on threads that a bench sets in this process."""
    before = cv2.getNumThreads()
    with threadpool_limits():
        yield
        cv2.setNumThreads(before)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of pictures."""
    return write_colours(tmp_path_factory.mktemp("source"), PICTURES, first=100)


@pytest.fixture(scope="module")
def measured(small_bundle: Path, source: Path) -> dict:
    """Measure over all pictures, with one thread."""
    done = call_device("bench", small_bundle, "--source", source, "--frames", PICTURES, "--threads", 1, "--json")
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


def check_refused(done: Done, code: int, *said: str) -> None:
    """Hold a refusal against the promise: the exit code, one line, nothing on the way to a file."""
    assert (done.code, done.out) == (code, "")
    assert len(done.err.splitlines()) == 1
    for words in said:
        assert words in done.err


def test_json_says_on_what_it_was_measured(measured: dict, small_bundle: Path) -> None:
    """One JSON object names bundle, bank, search, threads, machine and versions, and counts the frames."""
    info = json.loads(call_device("bundle", "info", small_bundle).out)
    assert measured["frames"] == PICTURES - WARM_UP
    assert measured["threads"] == 1
    assert measured["entries"] == info["coreset"]["size"]
    assert measured["search"] == "lazy"
    assert len(measured["bundle"]) == 64
    assert measured["machine"]
    assert {"numpy", "onnxruntime"} <= measured["versions"].keys()
    assert all(measured["versions"].values())


def test_json_has_a_spread_for_every_stage(measured: dict) -> None:
    """Each stage, and each of what is measured beside them, has p50 <= p95 <= p99, all of them more than nothing."""
    assert measured["stages"].keys() == {*STAGES, *BESIDE}
    for spread in measured["stages"].values():
        assert spread.keys() == {"p50", "p95", "p99"}
        assert 0 < spread["p50"] <= spread["p95"] <= spread["p99"]


def test_figures_follow_from_the_stages(measured: dict) -> None:
    """Ratios are those of the medians that stand beside them, so that a reader can check them."""
    median = {name: spread["p50"] for name, spread in measured["stages"].items()}
    for percentile in ("p50", "p95", "p99"):
        assert measured[f"{percentile}_ms"] == measured["stages"]["frame"][percentile]
    assert measured["ratio_to_network"] == pytest.approx(measured["p50_ms"] / median["network"], rel=SAME)
    with_decode = (median["frame"] + median["decode"]) / median["network"]
    assert measured["ratio_with_decode"] == pytest.approx(with_decode, rel=SAME)
    whole = median["frame"] - median["search"] + median["whole_search"]
    assert measured["ratio_to_whole_search"] == pytest.approx(median["frame"] / whole, rel=SAME)


def test_whole_frame_holds_all_its_stages(measured: dict) -> None:
    """A whole frame is the sum of its stages: every stage takes less than the frame, at any percentile."""
    for percentile in ("p50", "p95", "p99"):
        frame = measured["stages"]["frame"][percentile]
        assert all(measured["stages"][stage][percentile] < frame for stage in STAGES)


def test_process_is_measured_too(measured: dict) -> None:
    """Cold start and peak memory are those of a process that loaded everything; the searched share is a share."""
    assert measured["cold_start_s"] > 0
    assert measured["peak_rss_mb"] > 10  # NumPy and ONNX Runtime alone
    assert 0 < measured["searched_share_p50"] <= measured["searched_share_p95"] <= 1


def test_search_in_full_searches_every_patch(small_bundle: Path, source: Path) -> None:
    """`--search graph` looks every patch up, and says so; `--threads 2` and fewer `--frames` are reported as asked."""
    words = ("--frames", 10, "--threads", 2, "--search", "graph", "--json")
    done = call_device("bench", small_bundle, "--source", source, *words)
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert (found["search"], found["searched_share_p50"], found["searched_share_p95"]) == ("graph", 1.0, 1.0)
    assert (found["threads"], found["frames"]) == (2, 10 - WARM_UP)


def test_table_names_every_stage(small_bundle: Path, source: Path) -> None:
    """Without --json a table for people has a line for each stage and says ratio, memory, cold start and threads."""
    done = call_device("bench", small_bundle, "--source", source, "--frames", PICTURES, "--threads", 1)
    assert (done.code, done.err) == (0, "")
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0] == ["milliseconds", "p50", "p95", "p99"]
    rows = {line[0]: line[1:] for line in lines[1 : 1 + len(STAGES + BESIDE)]}
    assert rows.keys() == {*STAGES, *BESIDE}
    assert all(len([float(number) for number in row]) == 3 for row in rows.values())
    for said in ("frame / network", "peak memory", "cold start", "patches searched", f"{PICTURES - WARM_UP} frames"):
        assert said in done.out
    assert ["threads", "1"] in lines


def test_bundle_without_its_bare_network_is_measured_without(small_bundle: Path, source: Path, tmp_path: Path) -> None:
    """Where network.onnx is not in a bundle, all else is measured, and the table and the JSON say what is not."""
    lacking = Path(shutil.copytree(small_bundle, tmp_path / "lacking.bundle"))
    (lacking / bundles.NETWORK).unlink()
    reseal(lacking)
    done = call_device("bench", lacking, "--source", source, "--frames", 10, "--threads", 1)
    assert (done.code, done.err) == (0, "")
    assert "frame / network        not measured" in done.out
    done = call_device("bench", lacking, "--source", source, "--frames", 10, "--threads", 1, "--json")
    found = json.loads(done.out)
    assert (found["ratio_to_network"], found["ratio_with_decode"]) == (None, None)
    assert found["stages"].keys() == {*STAGES, *BESIDE} - {"network"}


def test_bare_network_that_is_none_is_refused(small_bundle: Path, source: Path, tmp_path: Path) -> None:
    """A network.onnx that ONNX Runtime does not take is named in one line, with exit code 65."""
    spoilt = Path(shutil.copytree(small_bundle, tmp_path / "spoilt.bundle"))
    (spoilt / bundles.NETWORK).write_bytes(b"no graph")
    reseal(spoilt)
    done = call_device("bench", spoilt, "--source", source, "--frames", 10, "--threads", 1, "--json")
    check_refused(done, 65, bundles.NETWORK)


def test_too_few_frames_are_refused(small_bundle: Path, tmp_path: Path) -> None:
    """A source with no more readable frames than the warm-up takes is refused in one line, with exit code 69."""
    source = write_colours(tmp_path / "few", WARM_UP)
    for number in range(WARM_UP):
        (source / f"x{number}.png").write_bytes(b"no picture")
    done = call_device("bench", small_bundle, "--source", source, "--frames", 10, "--threads", 1, "--json")
    assert done.code == 69
    refusal = [line for line in done.err.splitlines() if line.startswith("patchedge:")]
    assert len(refusal) == 1
    assert f"{WARM_UP} readable frames" in refusal[0]
    assert str(source) in refusal[0]


@pytest.mark.timeout(AT_ONCE_S)
def test_no_bundle_is_refused_at_once(source: Path, tmp_path: Path) -> None:
    """A bundle that is not there is named in one line, with exit code 65."""
    done = call_device("bench", tmp_path / "none.bundle", "--source", source, "--json")
    check_refused(done, 65, "none.bundle", "no bundle here")


@pytest.mark.timeout(AT_ONCE_S)
def test_no_source_is_refused_at_once(small_bundle: Path, tmp_path: Path) -> None:
    """A source that is not there is named in one line, with exit code 69."""
    check_refused(
        call_device("bench", small_bundle, "--source", tmp_path / "none", "--json"), 69, str(tmp_path / "none")
    )


@pytest.mark.timeout(AT_ONCE_S)
def test_source_shorter_than_frames_is_measured_to_its_end(small_bundle: Path, source: Path) -> None:
    """`--frames` is a bound: what a shorter source has is measured, and nothing waits for more."""
    done = call_device("bench", small_bundle, "--source", source, "--threads", 1, "--json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["frames"] == PICTURES - WARM_UP


def test_unreadable_picture_is_passed_over(small_bundle: Path, tmp_path: Path) -> None:
    """A picture that cannot be read does not count, and what is said of it stays out of the JSON on stdout."""
    source = write_colours(tmp_path / "some", 10)
    (source / "003.png").write_bytes(b"no picture")
    done = call_device("bench", small_bundle, "--source", source, "--frames", 10, "--threads", 1, "--json")
    assert done.code == 0
    assert json.loads(done.out)["frames"] == 10 - 1 - WARM_UP
