"""All mistakes of settings at once: where each is, and what is allowed, in words."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as no_deadline
from hypothesis import strategies as some

from edge_config.errors import SettingsError
from edge_config.settings import bridge, profiles
from edge_config.settings.checks import overlap
from edge_config.settings.device import Settings
from edge_config.settings.parse import parse
from edge_config.settings.problems import look, words
from edge_config.settings.reading import read_file
from export.options import Options
from runtime.learning.options import read_options

MINIMAL = {"bundle": "line.bundle", "cameras": {"top": {"source": 0}}}
PATTERN_SIGNS = re.compile(r"\\Z|\[A-Z|\^\(|regex|\{1,")

WRONG_YAML = """\
bundle: line.bundle
device: press 3
thread: 2
cameras:
  top:
    source: rtsp://admin:geheim@10.0.0.4/x
    pace: slow
  top:
    source: 0
    alerts: {min_frame: 3}
  side:
    source: /dev/video0
    regions: [[[0, 0], [9, -1], [9, 9]]]
events:
  bind: udp://127.0.0.1:1
  high_water_mark: 0
  high_water_mark: 5
control: {bind: "tcp://127.0.0.1:9456"}
metrics: {bind: "0.0.0.0:9456", insecure: true}
degrade: {cool_c: 99}
profile: nano
"""
SAID_YAML = [
    "2: key `device`: `press 3` is not letters, digits, _ and - only",
    "3: unknown key `thread`; known here: bundle, cameras",
    "8: duplicate key `cameras.top`, first in line 5",
    "10: unknown key `cameras.top.alerts.min_frame`; known here: threshold",
    "12: key `cameras.side.source`: /dev/video0 is the device of `cameras.top`",
    "13: key `cameras.side.regions[0][1][1]`: -1 is not a whole number from 0 to 65535",
    "15: key `events.bind`: `udp://127.0.0.1:1` is not an address such as tcp://127.0.0.1:5556",
    "17: duplicate key `events.high_water_mark`, first in line 16",
    "19: key `metrics.bind`: 0.0.0.0:9456 is the address of `control.bind`, tcp://127.0.0.1:9456",
    "20: key `degrade.cool_c` is not below `degrade.hot_c`",
    "21: key `profile`: there is no `nano`; known: auto, none",
]

WRONG_TOML = """\
bundle = "line.bundle"
thread = 2
[cameras.top]
source = 0
pace = "slow"
[events]
bind = "udp://127.0.0.1:1"
"""
SAID_TOML = [
    "2: unknown key `thread`",
    "5: key `cameras.top.pace`: `slow` is not `fps` or `max`",
    "7: key `events.bind`",
]


def mistakes(file: Path) -> list[str]:
    """Read settings as `check` does, and return what is said."""
    with pytest.raises(SettingsError) as caught:
        parse(read_file(str(file), tell_later=True), str(file))
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("name", "text", "said"), [("s.yaml", WRONG_YAML, SAID_YAML), ("s.toml", WRONG_TOML, SAID_TOML)]
)
def test_all_mistakes_are_told_at_once(tmp_path: Path, name: str, text: str, said: list[str]) -> None:
    """Each mistake of a file has a line with the line of the file, the key, and what is allowed; in their order."""
    (tmp_path / name).write_text(text)
    found = mistakes(tmp_path / name)
    assert len(found) == len(said)
    for line, expected in zip(found, said, strict=True):
        assert line.startswith(f"{tmp_path / name}:{expected}")
        assert not PATTERN_SIGNS.search(line)
        assert "geheim" not in line


def test_nearest_known_key_is_suggested(tmp_path: Path) -> None:
    """Of a key that is nearly right, the right one is named."""
    (tmp_path / "s.yaml").write_text(WRONG_YAML)
    found = mistakes(tmp_path / "s.yaml")
    assert "did you mean `threads`?" in found[1]
    assert "did you mean `min_frames`?" in found[3]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("s.yaml", "bundle: a\nbundle: b\ncameras: {top: {source: 0}}\n", 2),
        ("s.yaml", "bundle: a\ncameras:\n  top: {source: 0}\n  'top': {source: 1}\n", 4),
        ("s.yaml", "bundle: a\ncameras: {top: {source: 0, source: 1}}\n", 2),
        ("s.yaml", "bundle: a\ncameras:\n  top:\n    source: 0\n    alerts:\n      min_ms: 1\n      min_ms: 2\n", 7),
        ("s.yaml", "providers:\n- name: CPUExecutionProvider\n  options: {a: 1,\n    a: 2}\n", 4),
        ("s.yaml", "cameras: {1: {source: 0}, +1: {source: 1}}\n", 1),
        ("s.toml", 'bundle = "a"\nbundle = "b"\n', 2),
        ("s.toml", "[cameras.top]\nsource = 0\n[cameras.top]\nsource = 1\n", 3),
        ("s.toml", "[cameras.top]\nsource = 0\nalerts = {min_ms = 1, min_ms = 2}\n", 3),
    ],
)
def test_key_that_is_there_twice_is_an_error(tmp_path: Path, name: str, text: str, line: int) -> None:
    """At every level, in YAML and in TOML, for every reader of settings: one of the two would be lost."""
    (tmp_path / name).write_text(text)
    with pytest.raises(SettingsError, match="duplicate key") as caught:
        read_file(str(tmp_path / name))
    assert str(caught.value).startswith(f"{tmp_path / name}:{line}: ")


def test_what_is_merged_may_be_said_otherwise(tmp_path: Path) -> None:
    """A key over one that `<<` brings along is what `<<` is for; an alias stands for the same keys again."""
    (tmp_path / "s.yaml").write_text(
        "bundle: a\ncameras:\n  top: &all {source: 0, max_age_ms: 50}\n  side: {<<: *all, source: 1}\n"
    )
    read = parse(read_file(str(tmp_path / "s.yaml")))
    assert (read.cameras["side"].source, read.cameras["side"].max_age_ms) == (1, 50)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"control": {"bind": "tcp://127.0.0.1:5556"}}, "control.bind"),
        ({"events": {"bind": "tcp://127.0.0.1:7001"}, "control": {"bind": "tcp://localhost:7001"}}, "control.bind"),
        ({"control": {"bind": "tcp://127.0.0.1:7001"}, "metrics": {"bind": "127.0.0.1:7001"}}, "metrics.bind"),
        ({"control": {"bind": "tcp://127.0.0.1:7"}, "metrics": {"bind": "*:7", "insecure": True}}, "metrics.bind"),
        ({"events": {"bind": "tcp://0.0.0.0:7", "insecure": True}, "metrics": {"bind": "[::1]:07"}}, "metrics.bind"),
        ({"events": {"bind": "ipc:///run/x"}, "control": {"bind": "ipc:///run//x"}}, "control.bind"),
        ({"cameras": {"a": {"source": 0}, "b": {"source": "/dev/video0"}}}, "cameras.b.source"),
        ({"cameras": {"a": {"source": "1"}, "b": {"source": "v4l2:///dev/video1"}}}, "cameras.b.source"),
    ],
)
def test_settings_that_do_not_go_together_are_found(change: dict[str, Any], key: str) -> None:
    """Two sockets at one address, and two cameras that are one device, are a mistake before anything is opened."""
    with pytest.raises(SettingsError, match=re.escape(f"key `{key}`: ")):
        parse({**MINIMAL, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"events": {"bind": "tcp://127.0.0.1:5557"}},  # control takes a free address then
        {"events": {"bind": "tcp://127.0.0.1:*"}, "control": {"bind": "tcp://127.0.0.1:*"}},
        {"metrics": {"bind": "127.0.0.1:5556", "enabled": False}},
        {"events": {"bind": "tcp://127.0.0.2:7"}, "control": {"bind": "tcp://127.0.0.1:7"}},
        {"cameras": {"a": {"source": "rtsp://x/1"}, "b": {"source": "rtsp://x/1"}}},
        {"cameras": {"a": {"source": "clip.mp4"}, "b": {"source": "clip.mp4"}}},
        {"cameras": {"a": {"source": "/dev/video*"}, "b": {"source": "/dev/video*"}}},
        {"cameras": {"a": {"source": 0}, "b": {"source": 1}}},
    ],
)
def test_settings_that_go_together_are_taken(change: dict[str, Any]) -> None:
    """Free ports, another address, streams and files for several cameras are no conflict."""
    parse({**MINIMAL, **change})


def test_addresses_overlap_either_way_round() -> None:
    """Everywhere includes each address, whichever is named first."""
    for one, other in (("tcp://*:5", "127.0.0.1:5"), ("tcp://[::]:5", "tcp://0.0.0.0:5"), ("0.0.0.0:5", "tcp://*:5")):
        assert overlap(one, other)
        assert overlap(other, one)


def kinds(kind: Any) -> Iterator[Any]:
    """Return a type and all that it is made of."""
    yield kind
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for field in msgspec.structs.fields(kind):
            yield from kinds(field.type)
    elif get_origin(kind) is not None and get_origin(kind).__name__ != "Literal":
        for one in get_args(kind):
            yield from kinds(one) if isinstance(one, type) or get_origin(one) is not None else [one]


@pytest.mark.parametrize("root", [Settings, bridge.Bridge, Options])
def test_every_pattern_has_words(root: type) -> None:
    """No user has to read a regular expression: what has one says in words what it means."""
    silent = [
        kind
        for kind in kinds(root)
        for meta in getattr(kind, "__metadata__", ())
        if meta.pattern and not meta.description
    ]
    assert not silent
    assert all(words(kind) for kind in kinds(root) if get_origin(kind) is not None or kind in {int, str, bool, float})


VALUES = some.sampled_from(
    [None, True, -1, 0, 5, 1.5, 1e9, "", "top", "a b", "fps", [], [[0, 0]], {}, {"source": 0}, {"x": 1}]
)
WHOLE: dict[str, Any] = {
    "bundle": "b",
    "cameras": {
        "top": {"source": 0, "alerts": {"min_frames": 3, "attach": ["jpeg"]}, "regions": [[[0, 0], [9, 0], [9, 9]]]}
    },
    "events": {"bind": "tcp://127.0.0.1:1"},
    "providers": [{"name": "CPUExecutionProvider", "options": {"a": 1}}],
    "affinity": [0],
    "trust": {"keys": ["x"]},
    "degrade": {"hot_c": 80.5},
}


@pytest.mark.slow
@no_deadline(deadline=None)  # on a machine that does other things too
@given(seed=some.randoms(use_true_random=False), value=VALUES)
def test_mistakes_are_those_of_msgspec(seed: Any, value: Any) -> None:
    """Something is found wrong exactly where msgspec refuses the whole; without it, the rest is taken."""
    tree = copy.deepcopy(WHOLE)
    at: Any = tree
    while True:
        key = seed.choice(list(at) if isinstance(at, dict) else range(len(at)))
        if not isinstance(at[key], dict | list) or not at[key] or seed.random() < 0.3:
            break
        at = at[key]
    if isinstance(at, dict) and seed.random() < 0.3:
        at[seed.choice(["x y", "soruce", "bind"])] = value
    else:
        at[key] = value
    found, mended = look(tree, Settings)
    try:
        msgspec.convert(tree, Settings)
    except msgspec.ValidationError:
        assert found
    else:
        assert not found
    msgspec.convert({"bundle": "b", "cameras": {"top": {"source": 0}}, **mended}, Settings)


@pytest.mark.parametrize("text", ["1:30", "010", "0x10", "0b1", "1_000"])
def test_number_that_reads_otherwise_than_it_looks_is_refused(tmp_path: Path, text: str) -> None:
    """YAML 1.1 would take 1:30 for 90 and 010 for 8: only decimal numbers are numbers, as in YAML 1.2."""
    path = tmp_path / "s.yaml"
    path.write_text(f"bundle: line.bundle\ncameras: {{top: {{source: 0}}}}\nthreads: {text}\n")
    with pytest.raises(SettingsError, match=f"s.yaml:3: key `threads`: `{text}` is not a whole number"):
        parse(read_file(str(path)), str(path))


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0.0), ("-3", -3.0), ("+2", 2.0), ("1.", 1.0), (".5", 0.5), ("2.5e3", 2500.0)]
)
def test_decimal_numbers_are_numbers(tmp_path: Path, text: str, number: float) -> None:
    """Signs, points and exponents are read as usual."""
    path = tmp_path / "s.yaml"
    path.write_text(f"key: {text}\n")
    assert read_file(str(path)) == {"key": number}


@pytest.mark.parametrize(("text", "told"), [("[[0, 0], [9, 0], [9, 9]]", "2 lists"), ("[0, 0, 9, 0, 9, 9]", "1 list")])
def test_polygon_without_its_outer_lists_is_one_mistake(text: str, told: str) -> None:
    """It says how a list of polygons is written, once, and not once for each number."""
    tree = {"bundle": "x", "cameras": {"top": {"source": 0, "ignore": msgspec.yaml.decode(text)}}}
    with pytest.raises(SettingsError) as refused:
        parse(tree)
    assert f"`cameras.top.ignore`: {told} in each other instead of 3; write such as [[[0, 0]," in str(refused.value)
    assert "\n" not in str(refused.value)


def test_profiles_of_the_program_have_no_key_twice() -> None:
    """The packaged profiles are read as strictly as settings."""
    for name in profiles.all_profiles():
        read_file(str(Path(profiles.__file__).parent / "profiles" / f"{name}.yaml"))


def test_file_of_fit_is_read_as_strictly(tmp_path: Path) -> None:
    """The settings of `fit` name all their mistakes too, with their lines."""
    (tmp_path / "fit.yaml").write_text("size: 320\nsiz: 1\nsize: 8\n")
    with pytest.raises(SettingsError) as caught:
        read_options({"images": "a", "out": "b"}, tmp_path / "fit.yaml", Options)
    said = [line.removeprefix(f"{tmp_path}/fit.yaml:") for line in str(caught.value).splitlines()]
    assert [line.split(":")[0] for line in said] == ["2", "3", "3"]
    assert "did you mean `size`?" in said[0]


def test_bridge_tells_all_too(tmp_path: Path) -> None:
    """The settings of the bridge name all their mistakes, with their lines."""
    (tmp_path / "bridge.yaml").write_text(
        "devices:\n- {events: 'tcp://a:1', control: 'tcp://a:1'}\n- {events: 'a:1', control: 'tcp://b:2'}\n"
        "mqtt: {host: 'bro ker', prot: 1}\nname: x y\n"
    )
    with pytest.raises(SettingsError) as caught:
        bridge.parse(read_file(str(tmp_path / "bridge.yaml"), tell_later=True), "bridge.yaml")
    said = str(caught.value).splitlines()
    assert [line.split(":")[1] for line in said] == ["2", "3", "4", "4", "5"]
    assert not any(PATTERN_SIGNS.search(line) for line in said)
