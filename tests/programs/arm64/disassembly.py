"""The loops of a function in the disassembly of a library, to see which instructions do the work."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

_HEAD = re.compile(r"^[0-9a-f]+ <(.*)>:$")
_LINE = re.compile(r"^ *([0-9a-f]+):\t(.*)$")
_BRANCH = re.compile(r"^(?:b\.\w+|b|cbn?z|tbn?z)\s.*?([0-9a-f]+) <")


def disassemble(library: Path) -> str:
    """Return what objdump prints of an arm64 library, names as in C++."""
    command = ["aarch64-linux-gnu-objdump", "-d", "-C", "--no-show-raw-insn", str(library)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def function(listing: str, name: str) -> list[tuple[int, str]]:
    """Return (address, instruction) of the functions whose names begin with `name`."""
    inside, found = False, []
    for line in listing.splitlines():
        head, instruction = _HEAD.match(line), _LINE.match(line)
        if head:
            inside = head[1].startswith(name)
        elif inside and instruction:
            found.append((int(instruction[1], 16), instruction[2]))
    return found


def loops(instructions: list[tuple[int, str]]) -> list[list[str]]:
    """Return the innermost loops: from where a branch backwards leads to that branch."""
    spans: list[tuple[int, int]] = []
    for address, text in instructions:
        branch = _BRANCH.match(text)
        if branch and instructions[0][0] <= int(branch[1], 16) <= address:
            spans.append((int(branch[1], 16), address))
    inner = [a for a in spans if not any(a != b and a[0] <= b[0] and b[1] <= a[1] for b in spans)]
    return [[f"{at:x}: {text}" for at, text in instructions if first <= at <= last] for first, last in inner]


def vector_loops(listing: str, name: str, instruction: str) -> list[list[str]]:
    """Return the innermost loops of a function that have `instruction` on whole vectors of four floats."""
    wanted = re.compile(rf"\b{instruction}\s+v\d+\.4s")
    return [loop for loop in loops(function(listing, name)) if any(wanted.search(line) for line in loop)]


def mnemonics(loop: list[str]) -> list[str]:
    """Return the names of the instructions of a loop that work on whole vectors of four floats."""
    return [line.split()[1] for line in loop if re.search(r"\sv\d+\.4s", line)]
