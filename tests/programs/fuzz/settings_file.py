"""Reader: settings in YAML (first byte even) and TOML."""

from __future__ import annotations

import contextlib

from edge_config.errors import PatchedgeError
from edge_config.settings.parse import parse
from edge_config.settings.reading import read_file
from tests.programs.fuzz import small
from tests.programs.fuzz.mutate import mutate_json

FOUND: tuple[bytes, ...] = (
    b'\0{"bundle": "\\ud800", "cameras": {"top": {"source": 0}}}',  # half a character was a traceback
    b"\0a: " + b"9:" * 400 + b"9.5",  # so was a number that overflows
    b"\0a0: &a0 {k: v, l: v}\n"  # and this took minutes and all memory
    + b"".join(b"a%d: &a%d {<<: [%b]}\n" % (at + 1, at + 1, b",".join([b"*a%d" % at] * 10)) for at in range(12)),
    b"\0" + b"[" * 30_000,
    b'\0{"bundle": 92 ""0.5,.0}',  # a name that is a number, at the top, was a traceback
    b"\0" + b'"' + b"x" * 300_000,
)

LONGEST = 16_000  # YAML is read slowly, and a quarter as fast under atheris


def seeds() -> list[bytes]:
    """Return settings in both, with every section."""
    return [
        b"\0bundle: b\ncameras:\n  top: {source: 0, alerts: {min_frames: 3}, regions: [[[0, 0], [9, 0], [9, 9]]]}\n",
        b'\0{"bundle": "b", "cameras": {"top": {"source": "rtsp://x"}}, "events": {"bind": "tcp://127.0.0.1:5"},'
        b' "control": {"bind": "ipc://x"}, "metrics": {"bind": "127.0.0.1:0"}, "degrade": {"hot_c": 80, "cool_c": 70},'
        b' "journal": {"path": "x"}, "clips": {"folder": ""}, "security": {"clients": "x"}, "trust": {"keys": ["x"]},'
        b' "capture": {"csi": "x"}, "providers": [{"name": "CPUExecutionProvider", "options": {"a": 1}}],'
        b' "affinity": [0]}',
        b"\0a: &a [*a]\nb: !!python/object/apply:os.system [x]\n",
        b"\0a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n",
        b'\1bundle = "b"\n[cameras.top]\nsource = 0\n[trust]\nkeys = ["x"]\nunsigned = "allow"\n',
    ]


def check(data: bytes) -> None:
    """Read a settings file and parse it."""
    file = small.scratch() / ("s.toml" if data[:1] and data[0] % 2 else "s.yaml")
    file.write_bytes(data[1:])
    with contextlib.suppress(PatchedgeError):
        parse(read_file(str(file)), str(file))


def mutate(data: bytes, seed: int) -> bytes:
    """Change it where it is JSON, which is YAML too."""
    return data[:1] + mutate_json(data[1:], seed)
