"""README does what it says: its Python runs, its settings are taken, its commands are those of the program."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_config.errors import PatchedgeError
from edge_config.settings import bridge
from edge_config.settings.parse import parse
from edge_config.settings.reading import read_file
from edge_config.settings.sections import Camera
from runtime.security import keys
from tests.support import readme
from tests.support.processes import DEVICE, ENOUGH_S, started
from tests.support.readme import Block, Command
from tests.support.tiny import write_pictures

PICTURES, STRANGE = 240, set(range(20, 60))
FPS = 20
"""Once somebody has subscribed, an alert begins after a second, lasts for two, and the device goes on for nine."""

LINES = 2
"""A program that goes on has to print so many: it must have come through what it does with a message."""

LANGUAGES = {
    "python": "is executed, on a device that gives an alert",
    "yaml": "is read as settings",
    "sh": "is parsed, its commands of ours by the real parser",
    "": "is what a program prints; after `$ ` a command",
}
"""What becomes of a block."""

LOCAL = {"events": "tcp://127.0.0.1:5556", "control": "tcp://127.0.0.1:5557"}
KEYED = {"events": "tcp://press-3:5556", "control": "tcp://press-3:5557"}
CLIENT_KEY, DEVICE_KEY = "hall", "press-3"
BRIDGE_KEYS = ("devices", "mqtt", "nats")


def named(block: Block | Command) -> str:
    return str(block)


def test_every_block_is_handled() -> None:
    """A block in a language that no test here knows would be unproved."""
    unknown = [f"{block}: ```{block.language}" for block in readme.blocks() if block.language not in LANGUAGES]
    assert not unknown, f"name the language, one of {list(LANGUAGES)}, or handle it here: {unknown}"
    assert readme.text().count("```") == 2 * len(readme.blocks()), "a fence is open"
    assert all(readme.blocks(language) for language in LANGUAGES)


@contextmanager
def device(bundle: Path, folder: Path, *, keyed: bool) -> Iterator[dict[str, str]]:
    """Run a device on pictures, with keys or without; its files `hall.key_secret` and `press-3.key` lie in `folder`."""
    source = write_pictures(folder / "pictures", STRANGE, PICTURES)
    security = {}
    if keyed:
        keys.make(folder / DEVICE_KEY)
        public, _ = keys.make(folder / CLIENT_KEY)
        (folder / "clients/view").mkdir(parents=True)
        (folder / "clients/view" / public.name).write_bytes(public.read_bytes())
        security = {"secret_key": str(folder / f"{DEVICE_KEY}.key_secret"), "clients": str(folder / "clients")}
    tree = {
        "bundle": str(bundle),
        "cameras": {"top": {"source": str(source), "fps": FPS, "alerts": {"attach": ["heat_map"]}}},
        "events": {"bind": "tcp://127.0.0.1:*", "wait_subscribers": 1},
        "control": {"bind": "tcp://127.0.0.1:*"},
        "metrics": {"enabled": False},
        "security": security,
    }
    (folder / "settings.yaml").write_text(yaml.safe_dump(tree))
    with started(*DEVICE, "run", "--config", folder / "settings.yaml") as process:
        for line in process.stderr or ():
            if (said := json.loads(line))["event"] == "running":
                drained = threading.Thread(target=process.communicate)
                drained.start()
                yield {name: str(said[name]) for name in LOCAL}
                process.kill()
                drained.join(ENOUGH_S)
                return
        raise AssertionError("the device did not start")


def goes_on(code: str) -> bool:
    """Return whether a program has a loop over what comes."""
    return any(isinstance(node, ast.While | ast.For | ast.AsyncFor) for node in ast.walk(ast.parse(code)))


@pytest.mark.slow
@pytest.mark.parametrize("block", readme.blocks("python"), ids=named)
def test_python_runs(block: Block, tiny_bundle: Path, tmp_path: Path) -> None:
    """A program of README runs as it stands, but for the ports, and prints what it got from a device."""
    keyed = KEYED["events"] in block.text
    with device(tiny_bundle, tmp_path, keyed=keyed) as at:
        code = block.text
        for name, address in (KEYED if keyed else LOCAL).items():
            code = code.replace(address, at[name])
        words = [sys.executable, "-u", "-c", code]
        process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        limit = threading.Timer(ENOUGH_S, process.kill)
        limit.start()
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(LINES if goes_on(code) else 1)]
            if all(lines) and goes_on(code):
                process.terminate()
            _, said = process.communicate()
        finally:
            limit.cancel()
            process.kill()
    assert all(lines), f"{block} printed {lines}; {said or 'it was ended after a minute'}"
    assert not said, f"{block}: {said}"
    assert goes_on(code) or process.returncode == 0, block


def settings_of(block: Block) -> Iterator[str]:
    """Return the settings of a block, as they stand, and with each key that is commented out."""
    lines = block.text.splitlines()
    indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    plain = [line[indent:] for line in lines]
    yield "\n".join(plain)
    for at, line in enumerate(plain):
        if re.match(r" *# [a-z_]+: \S", line):
            yield "\n".join([*plain[:at], line.replace("# ", "", 1), *plain[at + 1 :]])


def completed(tree: dict[str, Any]) -> dict[str, Any]:
    """Put a fragment into settings that are whole: that of a camera into a camera."""
    if tree.keys() <= set(Camera.__struct_fields__) - {"bundle"}:
        tree = {"cameras": {"top": {"source": 0, **tree}}}
    return {"bundle": "line.bundle", "cameras": {"top": {"source": 0}}, **tree}


@pytest.mark.parametrize("block", readme.blocks("yaml"), ids=named)
def test_settings_are_taken(block: Block, tmp_path: Path) -> None:
    """Settings of README are taken, each key that is commented out too."""
    file = tmp_path / "settings.yaml"
    for text in settings_of(block):
        file.write_text(text)
        tree = read_file(str(file))
        try:
            if any(key in tree for key in BRIDGE_KEYS):
                bridge.parse(tree, str(block))
            else:
                parse(completed(tree), str(block))
        except PatchedgeError as error:
            pytest.fail(f"{error}\n{text}")


@pytest.mark.parametrize("block", readme.blocks("sh"), ids=named)
def test_shell_is_shell(block: Block) -> None:
    """What is to be typed is whole: quotes, brackets, lines that go on."""
    done = subprocess.run(["/bin/bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{block}: {done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("command", readme.commands(), ids=named)
def test_command_is_one_of_the_program(command: Command) -> None:
    """The real parser takes every command, in blocks and between them."""
    try:
        readme.check(command)
    except readme.Wrong as wrong:
        pytest.fail(f"{command}: {wrong}")


def test_commands_are_found() -> None:
    """The search for commands finds those in blocks, behind `docker run`, and between blocks."""
    found = readme.commands()
    assert {verb for _, (_, verb, *_), _ in found} >= set(readme.OWNER), "a verb of the program that README never shows"
    assert any(command.words[1:3] == ("check", "/bundles/line.bundle") for command in found)
    assert any(not command.whole for command in found)


def test_targets_of_make_are_there() -> None:
    """Each `make TARGET` of README is one of the Makefile."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (readme.ROOT / "Makefile").read_text(), re.MULTILINE))
    lines = "\n".join(block.text for block in readme.blocks("sh"))
    spans = re.findall(r"`make ([a-z0-9-]+)", readme.text()) + re.findall(r"^make ([a-z0-9-]+)", lines, re.MULTILINE)
    assert len(spans) > 5
    assert set(spans) <= targets
