"""The pages do what they say: README.md, docs/tutorial.md and docs/guide/*.md run in test_run.py, all are parsed here.

For a page's author. Blocks run in the order of the page, in one folder and one network of their own (nothing on the
internet is reached), by what the fence says:

- `sh`: by `bash -euo pipefail`. The working folder and what is exported stay from block to block, as in one terminal.
  `patchedge run`, `watch`, `bridge`, `page` and a Python file with a loop go on beside what follows, which begins once
  they are up. Another `run` or `page` ends the one before, as Ctrl+C does; at the end all are interrupted and must end
  with 0. `record` is interrupted after 12 pictures. `make TARGET` is a dry run. `examples` and `constraints.txt` are
  there.
- `console`: the same for what follows `$ `, at a terminal. Each line below must be printed, in this order: words with
  digits or … may differ, further lines may come between; a line `...` stands for nothing.
- `python`: runs, and prints a line, or two where it has a loop, and nothing on stderr.
- `yaml`, `toml`: settings of a device, of a camera, of the bridge or, as `# page.yaml` or `# fleet.yaml`, of these,
  as they stand and with each key that is commented out. `# fit.yaml` in the first line: options of `fit`;
  `# plant.yaml`: a plan of cameras. Files of others (FOREIGN) only have to be YAML.
- `json` is JSON, `text` free, `ini` sections.
- A first line `# NAME` or `# NAME: ...` (not of `sh`) puts the block into that file, for the commands that follow.
- `*Not run here: REASON.*` in a line of its own before the fence: it is parsed only. REASON is one of stages.REASONS.

Addresses are those of the page: rtsp://user:pw@10.0.0.4/stream is a real camera, `press-3` a device with keys, `broker`
mosquitto and nats-server, where the page's line in tests/docs/stages.py asks for them. That line also says what else
the reader has at the beginning (`line.bundle`, `normal/`, a running device, ...), and how many blocks do not run.
Try a page: `.venv/bin/python -m pytest tests/docs -k guide/alerts`. Figures of a real run may stand in a `text` block.
"""

from __future__ import annotations

import configparser
import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge_config.errors import PatchedgeError
from edge_config.settings import bridge
from edge_config.settings import fleet as fleet_settings
from edge_config.settings import page as page_settings
from edge_config.settings.parse import parse
from edge_config.settings.reading import read_file
from edge_config.settings.sections import Camera
from export.options import Options
from export.plan.settings import read_plan
from runtime.learning.options import read_options
from tests.docs.reader import PREAMBLE
from tests.docs.stages import REASONS, STAGES
from tests.support import pages
from tests.support.pages import Block, Command

LANGUAGES = {"sh", "console", "python", "yaml", "toml", "json", "text", "ini"}
BRIDGE_KEYS = ("devices", "mqtt", "nats")
FOREIGN = {"prometheus.yml", "alerts.yml", "compose.yaml", "configuration.yaml", "dask.yaml"}
"""Files of other programs: Prometheus and its rules, Docker, Home Assistant, Dask."""

NEVER = re.compile(
    r"\b(docker|podman|buildah|systemctl|journalctl|sudo|apt|apt-get|pip install|git clone)\b|/dev/video|csi://"
)
"""What no test may run: it needs what is not here, or changes the machine."""


def of_pages(names: list[str], *languages: str) -> list[Block]:
    return [block for page in names for block in pages.blocks(page, *languages)]


@pytest.mark.parametrize("page", pages.ALL)
def test_every_fence_is_closed(page: str) -> None:
    """A fence that is open would hide what follows from the tests."""
    fences = re.findall(r"^ *```", pages.text(page), re.MULTILINE)
    assert len(fences) == 2 * len(pages.blocks(page))


def test_every_block_is_handled() -> None:
    """A block in a language that no test knows would be unproved."""
    unknown = [f"{block}: ```{block.language}" for block in of_pages(pages.RUN) if block.language not in LANGUAGES]
    assert not unknown, f"name the language, one of {sorted(LANGUAGES)}: {unknown}"


def test_every_page_has_its_stage() -> None:
    """Each page whose blocks run has a line in the table, and the table has no other."""
    assert sorted(STAGES) == sorted(pages.RUN)


@pytest.mark.parametrize("page", pages.RUN)
def test_blocks_that_do_not_run_are_listed(page: str) -> None:
    """What does not run is in the table, with its number, for a reason that is known."""
    found = Counter(block.reason for block in pages.blocks(page) if block.reason)
    assert found.keys() <= REASONS
    assert found == STAGES[page].not_run, f"change the line of {page} in tests/docs/stages.py"
    marks = len(re.findall(r"Not run here:", pages.text(page)))
    assert marks == found.total(), "a mark `*Not run here: REASON.*` is not in the line before a fence"


@pytest.mark.parametrize("block", of_pages(pages.RUN, "sh", "console"), ids=str)
def test_what_needs_another_machine_never_runs(block: Block) -> None:
    """No block that runs calls docker, systemd, sudo, apt or pip, or opens a camera of this machine."""
    runs = [] if block.reason else [line.partition(" #")[0] for line in block.text.splitlines()]
    assert not [line for line in runs if NEVER.search(line)]


@pytest.mark.parametrize("block", of_pages(pages.ALL, "sh"), ids=str)
def test_shell_is_shell(block: Block) -> None:
    """What is to be typed is whole: quotes, brackets, lines that go on."""
    done = subprocess.run(["/bin/bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{block}: {done.stderr}"


@pytest.mark.parametrize("block", of_pages(pages.RUN, "python", "json", "ini"), ids=str)
def test_data_and_programs_are_whole(block: Block) -> None:
    """JSON is JSON (one value, or one a line), Python is Python, sections are sections."""
    if block.language == "python":
        compile(block.text, str(block), "exec")
    elif block.language == "ini":
        configparser.ConfigParser(strict=False, interpolation=None).read_string(block.text)
    else:
        try:
            json.loads(block.text)
        except ValueError:
            assert [json.loads(line) for line in block.text.splitlines() if line.strip()]


def settings_of(block: Block) -> Iterator[str]:
    """Return the settings of a block, as they stand, and with each key that is commented out."""
    lines = block.text.splitlines()
    yield block.text
    for at, line in enumerate(lines):
        if re.match(r" *# [a-z_]+(: | = )\S", line):
            yield "\n".join([*lines[:at], line.replace("# ", "", 1), *lines[at + 1 :]])


def completed(tree: dict[str, Any]) -> dict[str, Any]:
    """Put a fragment into settings that are whole: that of a camera into a camera."""
    if tree.keys() <= set(Camera.__struct_fields__) - {"bundle"}:
        tree = {"cameras": {"top": {"source": 0, **tree}}}
    return {"bundle": "line.bundle", "cameras": {"top": {"source": 0}}, **tree}


@pytest.mark.parametrize("block", of_pages(pages.RUN, "yaml", "toml"), ids=str)
def test_settings_are_taken(block: Block, tmp_path: Path) -> None:
    """Settings of a page are taken, each key that is commented out too."""
    if block.file in FOREIGN:
        assert isinstance(yaml.safe_load(block.text), dict | list)
        return
    file = tmp_path / f"settings.{block.language}"
    for text in settings_of(block):
        file.write_text(text)
        try:
            tree = read_file(str(file))
            if block.file == "fit.yaml":
                read_options({"images": "normal/", "out": "line.bundle"}, file, Options)
            elif block.file == "plant.yaml":
                read_plan(file)
            elif block.file.startswith("page"):
                page_settings.parse(tree, str(block))
            elif block.file == "fleet.yaml":
                fleet_settings.parse(tree, str(block))
            elif any(key in tree for key in BRIDGE_KEYS):
                bridge.parse(tree, str(block))
            else:
                parse(completed(tree), str(block))
        except PatchedgeError as error:
            pytest.fail(f"{error}\n{text}")


def refusal(command: Command) -> str:
    """Return what the parser has against a command."""
    try:
        pages.check(command)
    except pages.Wrong as wrong:
        return str(wrong)
    return ""


@pytest.mark.slow
@pytest.mark.parametrize("page", pages.ALL)
def test_commands_are_those_of_the_program(page: str) -> None:
    """The real parser takes every command, in blocks and between them."""
    wrong = [f"{command}: {error}" for command in pages.commands(page) if (error := refusal(command))]
    assert not wrong, "\n".join(wrong)


def test_commands_are_found() -> None:
    """The search for commands finds those in blocks, behind `docker run`, and between blocks; every verb is shown."""
    found = [command for page in pages.RUN for command in pages.commands(page)]
    assert {verb for _, (_, verb, *_), _ in found} >= set(pages.OWNER), "a verb of the program that no page shows"
    assert any(command.words[1:3] == ("check", "/bundles/line.bundle") for command in found)
    assert any(not command.whole for command in found)


def test_targets_of_make_are_there() -> None:
    """Each `make TARGET` of the pages is one of the Makefile."""
    targets = set(re.findall(r"^([a-z0-9-]+):", (pages.ROOT / "Makefile").read_text(), re.MULTILINE))
    lines = "\n".join(block.text for block in of_pages(pages.ALL, "sh"))
    named = re.findall(r"^make ([a-z0-9-]+)", lines, re.MULTILINE)
    named += [
        span.split()[1] for page in pages.ALL for _, span in pages.spans(page) if re.match("make [a-z0-9-]", span)
    ]
    assert len(named) > 5
    assert set(named) <= targets


@pytest.mark.parametrize("page", pages.ALL)
def test_paths_of_the_code_are_there(page: str) -> None:
    """Each file and folder of the repository that a page names in backticks exists."""
    assert [f"{where}: {path}" for where, path in pages.paths(page) if not (pages.ROOT / path).exists()] == []


def test_the_preamble_is_one_line() -> None:
    """So a script has each line of a page at its number."""
    assert "\n" not in PREAMBLE
