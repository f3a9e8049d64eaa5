"""What Dockerfile.arm64 promises can be read in it, without building it; `make arm64` builds it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.monitoring.http_server import HttpServer, Page

ROOT = Path(__file__).parents[2]
FINAL = ("generic", "jetson")
COMPILERS = re.compile(r"\b(g\+\+|gcc|clang|build-essential|python3-dev|python3-pip|make)(\s|$)")
ENOUGH_S = 60.0


def instructions() -> list[tuple[str, str, str]]:
    """Return (stage, instruction, arguments); the stage is empty before the first FROM."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile.arm64").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    stage, found = "", []
    for line in filter(str.strip, text.splitlines()):
        word, _, arguments = line.partition(" ")
        if word == "FROM":
            stage = arguments.split(" AS ")[1]
        found.append((stage, word, arguments.strip()))
    return found


def parents(stage: str) -> list[str]:
    """Return a stage and those that it is made from, itself first; the last one is not a stage."""
    bases = {stage: arguments.split()[0] for stage, word, arguments in instructions() if word == "FROM"}
    chain = [stage]
    while chain[-1] in bases:
        chain.append(bases[chain[-1]])
    return chain


def of_image(target: str) -> list[tuple[str, str]]:
    """Return what makes the image of a target, without the stages that are only copied from."""
    return [(word, arguments) for stage, word, arguments in instructions() if stage in parents(target)]


def test_the_base_is_an_argument_pinned_by_its_default() -> None:
    """Every image comes from the one argument, whose default has a dated tag or a digest, and nothing is `latest`."""
    assert {parents(target)[-1] for target in FINAL} == {"${BASE}"}
    default = next(a.removeprefix("BASE=") for s, w, a in instructions() if not s and w == "ARG" and "BASE=" in a)
    assert re.search(r":[\w.-]*\d{8}[\w.-]*$|@sha256:[0-9a-f]{64}$", default)
    assert "latest" not in (ROOT / "Dockerfile.arm64").read_text()


@pytest.mark.parametrize("target", FINAL)
def test_an_image_has_no_compiler_and_an_ordinary_user(target: str) -> None:
    """No stage of the image installs a compiler or pip; its last user is a number that is not root's."""
    image = of_image(target)
    assert not [arguments for word, arguments in image if word == "RUN" and COMPILERS.search(arguments)]
    users = [arguments for word, arguments in image if word == "USER"]
    assert users
    assert all(int(part) > 0 for part in users[-1].split(":"))


@pytest.mark.parametrize("target", FINAL)
def test_an_image_says_how_it_is_run(target: str) -> None:
    """It has an entry point, a signal to stop, a health check without a shell, labels, and a workdir of its user."""
    image = dict(of_image(target))
    assert json.loads(image["ENTRYPOINT"]) == ["patchedge"]
    assert image["STOPSIGNAL"] == "SIGTERM"
    assert image["WORKDIR"] == "/data"
    assert "CMD [" in image["HEALTHCHECK"]
    assert "org.opencontainers.image.version" in image["LABEL"]


def test_every_package_list_is_removed_where_it_was_fetched() -> None:
    """A layer keeps no package lists, and takes nothing that was only recommended."""
    for _, word, arguments in instructions():
        if word == "RUN" and "apt-get" in arguments:
            assert "--no-install-recommends" in arguments
            assert "rm -rf /var/lib/apt/lists/*" in arguments


def test_torch_is_nowhere_and_constraints_hold_everywhere() -> None:
    """Nothing installs torch or the workshop; what comes from an index comes in the versions that were tested."""
    runs = [arguments for _, word, arguments in instructions() if word == "RUN"]
    assert not [line for line in runs if "torch" in line or "[export]" in line]
    for line in runs:
        for call in re.findall(r"(?:pip|python) (?:install|wheel) [^&]*", line):
            assert "-c jetson.txt" in call or "--no-index" in call


def test_the_generic_image_is_made_of_the_wheelhouse() -> None:
    """No stage of it has a compiler or an index; a missing wheelhouse is said in a line, and the sums are verified."""
    runs = [arguments for stage, word, arguments in instructions() if word == "RUN" and stage == "build-generic"]
    assert not [line for line in runs if "apt-get" in line and COMPILERS.search(line)]
    assert [line for line in runs if "--no-index --find-links /wheelhouse 'patchedge[cpu]'" in line]
    assert [line for line in runs if "sha256sum --check" in line]
    assert [line for line in runs if "test -e SHA256SUMS" in line and "run 'make wheels' first" in line]
    assert [
        arguments
        for target, _, arguments in instructions()
        if target == "generic" and "--from=build-generic" in arguments
    ]


def test_a_jetson_compiles_as_the_wheels_are_compiled() -> None:
    """Its stage runs the program of `make wheels`, so that flags and tools are kept in one place; none is native."""
    runs = [arguments for _, word, arguments in instructions() if word == "RUN"]
    assert "python3 wheels/compile.py /build /compiled" in runs
    assert ("build-jetson", "COPY", "tests/programs/wheels wheels") in instructions()
    assert not [line for line in runs if "native" in line or "FLAGS" in line]


def test_the_context_is_what_a_build_needs_and_nothing_else() -> None:
    """.dockerignore lets in the packages, what builds them, the wheelhouse and a vendor's wheel: no .git or .venv."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    let_in = {line.removeprefix("!") for line in lines if line.startswith("!")}
    packages = {"edge_config", "runtime", "export", "patchedge", "tests/programs/wheels", "build/wheelhouse/aarch64"}
    assert lines[0] == "*"
    assert let_in == {"pyproject.toml", "constraints.txt", "README.md", "LICENSE", "*.whl"} | packages
    assert {"**/*.so", "**/__pycache__"} <= set(lines)


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_health_check_asks_healthz(status: int, code: int) -> None:
    """The health check ends with 0 where /healthz is 200, and with 1 where it is not."""
    pages = {"/healthz": lambda: Page.text("", status=status)}
    web = HttpServer("127.0.0.1:0", pages)
    try:
        assert check_health(web.address) == code
    finally:
        web.close()


def test_health_check_fails_where_nobody_answers() -> None:
    """A runtime that is gone is not healthy."""
    web = HttpServer("127.0.0.1:0", {})
    web.close()
    assert check_health(web.address)


def check_health(address: str) -> int:
    """Run the health check's command with this Python."""
    words = json.loads(dict(of_image("generic"))["HEALTHCHECK"].partition("CMD ")[2])
    assert words[0] == "/opt/patchedge/bin/python"
    environment = {**os.environ, "PATCHEDGE_HEALTH": address}
    command = [sys.executable, *words[1:]]
    return subprocess.run(command, env=environment, check=False, capture_output=True, timeout=ENOUGH_S).returncode
