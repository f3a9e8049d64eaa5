"""The files of examples/ are what their README says: short programs, whole settings, a dashboard on loopback."""

from __future__ import annotations

import ast
import itertools
import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from edge_config.settings.parse import parse
from edge_config.settings.reading import read_file
from runtime.cli.app import build_parser
from runtime.cli.main import VERBS

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
GRAFANA = EXAMPLES / "grafana"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))
PI = EXAMPLES / "pi-two-cameras.yaml"
MAX_LINES = 60


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_a_program_is_short_and_needs_little(program: Path) -> None:
    """A program has fewer than 60 lines, and imports `patchedge` and the standard library only."""
    text = program.read_text()
    assert text.count("\n") < MAX_LINES
    nodes = list(ast.walk(ast.parse(text)))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= {*sys.stdlib_module_names, "patchedge"}


def test_the_table_lists_every_example() -> None:
    """README of the examples has a row for each, with a command that names it."""
    rows = re.findall(r"^\| \[(.+?)\]\((.+?)\) \| .+ \| (.+) \|$", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert {name for name, _, _ in rows} == {*(path.name for path in PROGRAMS), "grafana/", PI.name}
    for name, target, command in rows:
        assert (EXAMPLES / target).exists()
        assert f"examples/{name.rstrip('/')}" in command


def test_settings_of_a_pi_are_taken() -> None:
    """The real parser takes the settings; both cameras are there, and the profile is that of a Pi."""
    settings = parse(read_file(str(PI)), PI.name)
    assert list(settings.cameras) == ["belt", "gate"]
    assert "libcamerasrc" in str(settings.cameras["belt"].source), "the profile opens the CSI camera"
    assert settings.threads == 3


def test_each_key_of_a_pi_is_explained() -> None:
    """Each key with a value has a comment before it, at its first place in the file."""
    lines, seen, bare = PI.read_text().splitlines(), set(), []
    for before, line in itertools.pairwise(lines):
        key, colon, value = line.strip().partition(":")
        if colon and value and not key.startswith(("#", "-")) and key not in seen:
            seen.add(key)
            if not before.strip().startswith("#"):
                bare.append(line)
    assert len(seen) > 15
    assert bare == []


def test_commands_in_the_settings_are_real() -> None:
    """The commands in the comments are those of `patchedge`."""
    commands = re.findall(r"patchedge ((?:check|doctor|run) --config \S+)", PI.read_text())
    assert len(commands) == 3
    for command in commands:
        build_parser("patchedge", "", VERBS).parse_args(command.split())


def test_services_listen_on_this_machine_only() -> None:
    """Compose starts pinned images that listen on loopback, and mounts files that are there."""
    services = yaml.safe_load((GRAFANA / "compose.yaml").read_text())["services"]
    assert set(services) == {"prometheus", "grafana"}
    for service in services.values():
        assert re.fullmatch(r"docker\.io/\w+/\w+:v?\d+\.\d+\.\d+", service["image"])
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert not source.startswith(".") or (GRAFANA / source).exists()
    assert "--web.listen-address=127.0.0.1:9090" in services["prometheus"]["command"]
    assert services["grafana"]["environment"]["GF_SERVER_HTTP_ADDR"] == "127.0.0.1"
    assert services["grafana"]["environment"]["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"


def test_grafana_finds_prometheus_and_prometheus_the_device() -> None:
    """Addresses, names and paths of the files agree with each other, and with the defaults of a device."""
    (source,) = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://127.0.0.1:9090"
    dashboard = json.loads((GRAFANA / "dashboards/patchedge.json").read_text())
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {source["uid"]}
    (provider,) = yaml.safe_load((GRAFANA / "provisioning/dashboards/patchedge.yml").read_text())["providers"]
    compose = yaml.safe_load((GRAFANA / "compose.yaml").read_text())
    assert f"./dashboards:{provider['options']['path']}:ro" in compose["services"]["grafana"]["volumes"]
    prometheus = yaml.safe_load((GRAFANA / "prometheus.yml").read_text())
    (job,) = prometheus["scrape_configs"]
    default = parse({"bundle": "a.bundle", "cameras": {"top": {"source": 0}}}).metrics.bind
    assert (job["job_name"], job["static_configs"][0]["targets"]) == ("patchedge", [default])
    assert [(GRAFANA / name).exists() for name in prometheus["rule_files"]] == [True]


def test_panels_do_not_overlap() -> None:
    """Each panel has its own place in the grid of 24 columns, and its own number."""
    panels = json.loads((GRAFANA / "dashboards/patchedge.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert all(x < 24 for x, _ in taken)
