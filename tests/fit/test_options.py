"""The options of `fit`: a settings file and the command line say the same, and both are checked."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from edge_config.errors import SettingsError, UsageError
from export.cli import fit
from export.options import DEFAULT, Options
from runtime.learning import options as learning
from tests.support.small import call_export

OPTIONS: dict[str, tuple[list[str], Any]] = {
    "images": (["--images", "pictures"], "pictures"),
    "out": (["--out", "press.bundle"], "press.bundle"),
    "backbone": (["--backbone", "resnet18"], "resnet18"),
    "weights": (["--weights", "w.pt"], "w.pt"),
    "layers": (["--layers", "layer1,layer2"], ["layer1", "layer2"]),
    "tokens_to_map": (["--tokens-to-map", "5"], 5),
    "mean": (["--mean", "1,2.5,3"], [1, 2.5, 3]),
    "std": (["--std", "4,5,6"], [4, 5, 6]),
    "size": (["--size", "256"], 256),
    "resize": (["--resize", "288"], 288),
    "accept_crop": (["--accept-crop"], True),
    "tiles": (["--tiles", "3x4"], "3x4"),
    "smallest_fault": (["--smallest-fault", "4"], 4),
    "depth": (["--depth", "12"], 12),
    "aggregation": (["--aggregation", "adaptive"], "adaptive"),
    "patch_size": (["--patch-size", "5"], 5),
    "stride": (["--stride", "3"], 3),
    "layer_dim": (["--layer-dim", "64"], 64),
    "target_dim": (["--target-dim", "48"], 48),
    "precision": (["--precision", "int8"], "int8"),
    "coreset": (["--coreset", "0.25"], 0.25),
    "scaling": (["--scaling", "none"], "none"),
    "centring": (["--centring", "0.25"], 0.25),
    "position_means": (["--position-means", "0.75"], 0.75),
    "spacing": (["--spacing", "none"], "none"),
    "projection_dim": (["--projection-dim", "0"], 0),
    "seed": (["--seed", "7"], 7),
    "score": (["--score", "paper"], "paper"),
    "b": (["--b", "4"], 4),
    "k": (["--k", "3"], 3),
    "alpha": (["--alpha", "0.02"], 0.02),
    "alerts_per_day": (["--alerts-per-day", "0.5"], 0.5),
    "hold_out": (["--hold-out", "0.5"], 0.5),
    "exclude": (["--exclude", "3"], 3),
    "regions": (["--regions", "0,0,9,0,9,9"], [[[0, 0], [9, 0], [9, 9]]]),
    "ignore": (
        ["--ignore", "1,1,5,1,5,5", "--ignore", "6,6,8,6,8,8"],
        [[[1, 1], [5, 1], [5, 5]], [[6, 6], [8, 6], [8, 8]]],
    ),
    "max_images": (["--max-images", "40"], 40),
    "may_vary": (["--may-vary", "light=30%,shift=4px,focus"], {"light": 0.3, "shift": 4, "focus": True}),
    "tolerance_cost": (["--tolerance-cost"], True),
    "skip_bad": (["--skip-bad"], True),
    "test_set": (["--test-set", "truth"], "truth"),
    "no_report": (["--no-report"], True),
    "workers": (["--workers", "3"], 3),
    "mixed": (["--mixed"], True),
    "performance_report": (["--performance-report", "dask.html"], "dask.html"),
    "threads": (["--threads", "2"], 2),
    "force": (["--force"], True),
}
"""Every option: how it stands on the command line, and its value in a file."""

APART = {
    "tiles": (["--tiles", "3x4"], "3x4"),
    "smallest_fault": (["--smallest-fault", "8"], 8),
    "device": (["--device", "cuda"], "cuda"),
}
"""Options that do not go with `resize` or `workers`, likewise."""

INSTEAD_OF_WORKERS = "cluster"
"""The option that does not go with `workers`: an address in its place."""

YAML = "\n".join(f"{name}: {json.dumps(value)}" for name, (_, value) in OPTIONS.items())
TOML = YAML.replace(": ", " = ")

NEEDED = {"images": "pictures", "out": "press.bundle"}


def read_options(given: dict[str, Any], file: Path | None) -> Options:
    return learning.read_options(given, file, Options)


def parse(words: list[str]) -> dict[str, Any]:
    """Return what stands on a command line, as the verb hands it on."""
    parser = argparse.ArgumentParser()
    fit.add_arguments(parser)
    return {name: value for name, value in vars(parser.parse_args(words)).items() if name in Options.__struct_fields__}


def write(folder: Path, text: str, ending: str = "yaml") -> Path:
    path = folder / f"fit.{ending}"
    path.write_text(text)
    return path


@pytest.mark.parametrize(("ending", "text"), [("yaml", YAML), ("toml", TOML)])
def test_file_says_what_the_arguments_say(tmp_path: Path, ending: str, text: str) -> None:
    """Every option can stand in a YAML or TOML file under the name of its argument, and means the same."""
    assert {*OPTIONS, *APART, INSTEAD_OF_WORKERS} == set(Options.__struct_fields__)
    from_arguments = read_options(parse([word for words, _ in OPTIONS.values() for word in words]), None)
    from_file = read_options({}, write(tmp_path, text, ending))
    assert from_file == from_arguments
    defaults = Options(**NEEDED)
    same = {name for name in OPTIONS if getattr(from_file, name) == getattr(defaults, name)}
    assert same == set(NEEDED)  # so that an option that is ignored could not pass


@pytest.mark.parametrize("name", APART)
def test_options_that_go_with_few_can_stand_in_a_file(tmp_path: Path, name: str) -> None:
    """What chooses tiles or a GPU means the same in a file and as an argument."""
    words, value = APART[name]
    file = write(tmp_path, f"{name}: {value}\n")
    given = {**NEEDED, **parse(words)}
    assert read_options(NEEDED, file) == read_options(given, None) != Options(**NEEDED)


def test_arguments_override_the_file(tmp_path: Path) -> None:
    """What stands on the command line holds, and of the file the rest."""
    file = write(tmp_path, YAML)
    options = read_options(parse(["--size", "64", "--coreset", "200", "--out", "other.bundle"]), file)
    assert (options.size, options.coreset, options.out) == (64, 200, "other.bundle")
    assert (options.images, options.patch_size, options.layers) == ("pictures", 5, ("layer1", "layer2"))


def test_argument_that_was_not_given_does_not_override(tmp_path: Path) -> None:
    """Defaults of the command line do not come between the file and what was asked for."""
    assert parse([]) == {}
    options = read_options(parse(["--images", "a"]), write(tmp_path, "out: x.bundle\nskip_bad: true\nsize: 96\n"))
    assert (options.size, options.skip_bad, options.coreset) == (96, True, "auto")


def test_stride_depends_on_the_network_unless_it_is_given() -> None:
    """The packaged networks keep every second position, others all; what is given holds for both."""
    steps = {
        (name, s): Options(**NEEDED, backbone=name, stride=s).step for name in (DEFAULT, "x.onnx") for s in (None, 3)
    }
    assert steps == {(DEFAULT, None): 2, (DEFAULT, 3): 3, ("x.onnx", None): 1, ("x.onnx", 3): 3}


BAD = {
    "speed: 3": "speed",
    "patch-size: 5": "patch-size",
    "patch_size: 4": "patch_size 4 is not odd",
    "patch_size: 33": "patch_size",
    "size: 31": "size",
    "size: 64.5": "size",
    "size: 128\nresize: 100": "resize 100 is smaller than size 128",
    "aggregation: sum": "aggregation",
    "precision: int4": "precision",
    "layers: []": "layers",
    "layers: blocks.2": "layers",
    "mean: [1, 2]": "mean",
    "mean: [1, 2, 256]": "mean[2]",
    "std: [1, 0, 1]": "std[1]",
    "std: [1, .inf, 1]": "std[1]",
    "stride: 0": "stride",
    "seed: -1": "seed",
    "b: 1": "b",
    "k: 0": "k",
    "alpha: 1": "alpha",
    "hold_out: .nan": "hold_out",
    "skip_bad: 1": "skip_bad",
    "images: ''": "images",
    "coreset: 1": "coreset",
    "coreset: 0": "coreset",
    "coreset: 1.5": "coreset",
    "coreset: -3": "coreset",
    "coreset: true": "coreset",
    "may_vary: light": "may_vary",
    "may_vary: {light: 20}": "may_vary.light",
    "may_vary: {colour: 1}": "may_vary.colour",
}


@pytest.mark.parametrize("text", BAD)
def test_bad_file_is_named_with_its_key(tmp_path: Path, text: str) -> None:
    """An unknown key, a wrong type or a value out of bounds in the file is an error that names file and key."""
    file = write(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        read_options(dict(NEEDED), file)
    assert caught.value.exit_code == 78
    assert str(caught.value).startswith(f"{file}:")
    assert BAD[text] in str(caught.value)


def test_bad_file_is_refused_even_where_an_argument_overrides_it(tmp_path: Path) -> None:
    """A file is right or wrong by itself, whatever else was given today."""
    with pytest.raises(SettingsError, match="size"):
        read_options({**NEEDED, "size": 64}, write(tmp_path, "size: 3"))


def test_argument_and_file_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    """A file that is right by itself can be at odds with an argument: that is an error of the command line."""
    with pytest.raises(UsageError, match="resize 100 is smaller than size 128"):
        read_options({**NEEDED, "size": 128}, write(tmp_path, "size: 96\nresize: 100"))


@pytest.mark.parametrize(
    ("text", "value"), [("0.25", 0.25), ("0.001", 0.001), ("2", 2), ("500", 500), ("auto", "auto")]
)
def test_coreset_is_a_share_or_a_number_or_auto(tmp_path: Path, text: str, value: float | str) -> None:
    """Below 1 it is a share of the patches, from 2 on a number of entries; in a file as on the command line."""
    for options in (
        read_options({**NEEDED, **parse(["--coreset", text])}, None),
        read_options(dict(NEEDED), write(tmp_path, f"coreset: {text}")),
        read_options(dict(NEEDED), write(tmp_path, f"coreset = {value!r}", "toml")),
    ):
        assert options.coreset == value
        assert type(options.coreset) is type(value)


@pytest.mark.parametrize(
    "words",
    [
        *(["--coreset", bad] for bad in ("1", "0", "1.5", "-3", "1.0", "nan", "all", "2.0")),
        ["--patch-size", "4"],
        ["--patch-size", "-1"],
        ["--size", "64", "--resize", "63"],
        ["--size", "16"],
        ["--alpha", "0"],
        ["--hold-out", "1"],
        ["--mean", "1,2"],
        ["--mean", "nan,1,1"],
        ["--std", "0,1,1"],
        ["--std", "inf,1,1"],
        ["--may-vary", "light=2"],
        ["--layers", ","],
        ["--score", "best"],
        ["--speed", "3"],
    ],
)
def test_bad_argument_is_a_usage_error(tmp_path: Path, words: list[str]) -> None:
    """A bad argument ends `fit` with 2 before anything is read or written, and the last line says what is wrong."""
    done = call_export("fit", "--images", tmp_path, "--out", tmp_path / "x.bundle", *words)
    assert done.code == 2
    said = done.err.splitlines()[-1]
    assert words[-2].lstrip("-").partition("-")[0] in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given", NEEDED)
def test_missing_images_or_out_is_one_line(tmp_path: Path, given: str) -> None:
    """Without pictures or target `fit` ends with 2 and one line that names what is missing."""
    missing = ({*NEEDED} - {given}).pop()
    done = call_export("fit", f"--{given}", tmp_path / "there")
    assert done == (2, "", f"patchedge-export: --{missing} must be given; such as --images normal/ --out line.bundle\n")


def test_bad_settings_file_is_78_in_one_line(tmp_path: Path) -> None:
    """`fit` with a settings file that is wrong, of another kind or absent ends with 78, and one line names the file."""
    for file in (write(tmp_path, "speed: 3"), write(tmp_path, "size: 64", "json"), tmp_path / "gone.toml"):
        done = call_export("fit", "--config", file, "--images", tmp_path, "--out", tmp_path / "x.bundle")
        assert done.code == 78
        assert len(done.err.splitlines()) == 1
        assert str(file) in done.err


def test_stride_belongs_to_the_layers() -> None:
    """The usual layers of a packaged network keep every second position; layers that the user names keep all."""
    assert Options(**NEEDED).step == 2
    assert Options(**NEEDED, layers=("blocks.4", "blocks.10")).step == 1
    assert Options(**NEEDED, layers=("blocks.4", "blocks.10"), stride=3).step == 3
    assert Options(**NEEDED, backbone="resnet18").step == 1
