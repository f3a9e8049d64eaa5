"""The reader of the pages runs blocks as a terminal does, and says where a page is wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.reader import Failed, Reader, first_missing, goes_on
from tests.docs.test_pages import NEVER
from tests.support import pages
from tests.support.pages import Block

LOOP = "import time\nwhile True:\n    print('heard', 7, flush=True)\n    time.sleep(0.1)\n"


def block(text: str, language: str = "sh", line: int = 10) -> Block:
    return Block("page.md", line, language, text, "")


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    """Return a reader in an empty folder."""
    (tmp_path / "page").mkdir()
    reader = Reader(tmp_path / "page", tmp_path / "state")
    yield reader
    reader.kill()


def test_a_terminal_remembers(reader: Reader, tmp_path: Path) -> None:
    """Folder and exported variables stay from block to block, and HOME is not the user's."""
    reader.read(block("mkdir inside && cd inside\nexport WHAT='a b'\n"))
    reader.read(block('echo "$WHAT" > said; [ "$HOME" != ~root ]; [ -d "$HOME" ]\n'))
    assert (tmp_path / "page/inside/said").read_text() == "a b\n"


def test_a_failure_is_at_its_line(reader: Reader) -> None:
    """What fails is named by page, line and command, with what was printed; what follows does not run."""
    with pytest.raises(Failed, match="exit code 3") as failed:
        reader.read(block("echo before\n\n(exit 3)\ntouch after\n"))
    assert "before" in str(failed.value)
    assert "line 13, exit code 3: ( exit 3 )" in str(failed.value)


def test_a_variable_that_is_not_set_is_a_failure(reader: Reader) -> None:
    """A page may not rely on what it never set."""
    with pytest.raises(Failed, match="line 11: NEVER_SET: unbound"):
        reader.read(block('echo "$NEVER_SET"\n'))


def test_what_a_console_shows_is_printed(reader: Reader) -> None:
    """Lines of a console are compared by their words; those with digits, and what is cut short, may differ."""
    reader.read(block("$ echo 'took 31 s, id 5f2c77'; echo more; echo end\ntook 2 s, id ab3…\nend\n", "console"))
    with pytest.raises(Failed, match="does not print a line like `end`"):
        reader.read(block("$ echo end of it, but; echo more\nmore\nend\n", "console"))


def test_a_block_becomes_a_file(reader: Reader, tmp_path: Path) -> None:
    """A block whose first line names a file is that file for what follows."""
    reader.read(block("# etc/settings.yaml: for one camera\nbundle: line.bundle\n", "yaml"))
    assert (tmp_path / "page/etc/settings.yaml").read_text().endswith("\nbundle: line.bundle\n")


@pytest.mark.slow
def test_a_program_goes_on_until_it_is_interrupted(reader: Reader) -> None:
    """A Python file with a loop runs beside what follows, and is ended by SIGINT."""
    reader.read(block("# loop.py\n" + LOOP.replace("import time", "import time\n"), "text"))
    reader.read(block("$ python loop.py\nheard 1\nheard 2\n", "console"))
    assert [one.over() for one in reader.running] == [False]
    reader.end()
    assert reader.running == []


def test_a_command_that_ends_badly_is_found(reader: Reader) -> None:
    """The exit code of what went on is that of a clean end."""
    running = reader.start("page.md:1", "watch", "trap 'exit 7' INT; echo up; sleep 60")
    running.until(bool, lambda: "says nothing")
    with pytest.raises(Failed, match="ended with 7") as failed:
        reader.end()
    assert "up" in str(failed.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "why"),
    [("for _ in range(1):\n    print('one')\n", "ended with 0"), ("import sys\nsys.stderr.write('odd')", "odd")],
)
def test_a_program_that_prints_too_little_is_found(reader: Reader, code: str, why: str) -> None:
    """A loop that prints once has not come through its loop; a program that complains does not do what it says."""
    with pytest.raises(Failed, match=why):
        reader.read(block(code, "python"))


@pytest.mark.slow
def test_make_runs_nothing(reader: Reader) -> None:
    """`make TARGET` of a page is a dry run, and fails where there is no such target."""
    reader.read(block("make lint    # all of it\n"))
    with pytest.raises(Failed, match="No rule to make target"):
        reader.read(block("make nothing-of-the-kind\n"))


@pytest.mark.parametrize(
    ("line", "verb"),
    [
        ("patchedge run --bundle b --source s &   # in the background", "run"),
        ("cd x && patchedge watch --json", "watch"),
        ("patchedge watch --count 3", None),
        ("patchedge record rtsp://x normal/ --count 400", "record"),
        ("patchedge check line.bundle", None),
        ("python there.py 3", ""),
        ("python elsewhere.py", None),
    ],
)
def test_what_goes_on_is_known(tmp_path: Path, line: str, verb: str | None) -> None:
    """Commands that run until they are interrupted are told from those that end."""
    (tmp_path / "there.py").write_text(LOOP)
    assert goes_on(line, tmp_path) == verb


def test_lines_are_wanted_in_order() -> None:
    """Further lines may come between those of a page; another order is something else."""
    assert first_missing(["a 1", "x", "b 2"], ["a 7", "...", "b 9"]) == ""
    assert first_missing(["b 2", "a 1"], ["a 7", "b 9"]) == "b 9"


@pytest.mark.parametrize(
    "line", ["sudo true", "docker run x", "apt install x", "pip install '.[cpu]'", "patchedge probe /dev/video0"]
)
def test_what_never_runs_is_found(line: str) -> None:
    """What changes the machine, or needs what is not here, is seen."""
    assert NEVER.search(line)


def test_marks_belong_to_the_next_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mark in the line before a fence is the reason of that block; the others run."""
    fences = ["```sh\ntrue\n```", "*Not run here: another machine.*\n\n```sh\nfalse\n```", "  ```text\n  a\n  ```"]
    monkeypatch.setattr(pages, "text", lambda _page: "\n\n".join(["# Page", *fences, ""]))
    found = [(one.line, one.language, one.text, one.reason) for one in pages.blocks("page.md")]
    assert found == [
        (3, "sh", "true\n", ""),
        (9, "sh", "false\n", "another machine"),
        (13, "text", "a\n", ""),
    ]


def test_python_of_the_pages_is_that_of_the_tests(reader: Reader) -> None:
    """`python` and `patchedge` of a page are those of this environment."""
    reader.read(block(f'[ "$(dirname "$(command -v python)")" = "{Path(sys.executable).parent}" ]\n'))
