"""The bounded folder of films, and the child processes that fill it."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from edge_config.errors import UnavailableError, UnreadableImage
from runtime.page.media.films import MAX_WAITING, Fetch, Films
from tests.support.clips import write_clip

pytest.importorskip("av", reason="PyAV is not installed (extra `page`)")

COPIER = (
    sys.executable,
    "-c",
    "import sys, json, shutil; c, t = sys.argv[1:]; shutil.copy(c, t + '.mp4'); print(json."
    "dumps(dict(path=t + '.mp4', media_type='video/mp4', codec='x', width=1, height=1, frames=1, seconds=1)))",
)
"""A film maker that takes the clip for a film."""


def giving(clip: Path, asked: list[str] | None = None) -> Fetch:
    """Return what gets this clip, and counts how often it is asked."""

    async def fetch(path: Path) -> None:
        if asked is not None:
            asked.append(clip.name)
        shutil.copy(clip, path)

    return fetch


def making(code: str) -> Sequence[str]:
    """Return the command of a film maker that does this."""
    return sys.executable, "-c", f"import os, signal, sys, time; {code}"


@pytest.mark.slow
def test_a_film_is_made_once(tmp_path: Path) -> None:
    """Two viewers at once and one later get the same film, for which the clip was fetched once."""
    clip, asked = write_clip(tmp_path / "a.avi", range(0, 200, 20)), list[str]()

    async def watch() -> None:
        films = Films(tmp_path / "films")
        both = await asyncio.gather(films.get("press-3/a", giving(clip, asked)), films.get("press-3/a", giving(clip)))
        assert both[0] == both[1] == await films.get("press-3/a", giving(clip, asked))
        path, media_type = both[0]
        assert path.stat().st_size > 0
        assert media_type in {"video/mp4", "video/webm"}

    asyncio.run(watch())
    assert asked == ["a.avi"]
    assert list((tmp_path / "films" / "work").iterdir()) == []


@pytest.mark.slow
def test_films_have_bounds_on_disk(tmp_path: Path) -> None:
    """When the folder is full, the film that was not played for longest goes; foreign files stay."""
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    (tmp_path / "clip").write_bytes(bytes(400_000))

    async def fill() -> list[Path]:
        films = Films(folder, 1, command=COPIER)
        return [(await films.get(key, giving(tmp_path / "clip")))[0] for key in ("a", "b", "a", "c")]

    a, b, again, c = asyncio.run(fill())
    assert a == again
    assert (a.exists(), b.exists(), c.exists()) == (True, False, True)
    assert (folder / "notes.txt").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        ("time.sleep(60)", UnavailableError, "took longer than 1 s"),
        ("os.kill(os.getpid(), signal.SIGKILL)", UnavailableError, "was ended by SIGKILL"),
        ("sys.exit(3)", UnavailableError, "exit code 3"),
        ("print('first'); sys.exit('last line')", UnavailableError, "last line"),
        ("bytearray(1 << 30)", UnavailableError, "MemoryError"),
        ("sys.stderr.write('it is damaged'); sys.exit(65)", UnreadableImage, "it is damaged"),
    ],
)
def test_child_that_fails_is_one_error(tmp_path: Path, code: str, kind: type[Exception], said: str) -> None:
    """A film maker that hangs, is killed, wants too much memory or refuses is one error; the next film is made."""
    clip = write_clip(tmp_path / "a.avi", [0])

    async def watch() -> None:
        films = Films(tmp_path / "films", max_seconds=1.0 if "sleep" in code else 60.0, command=making(code))
        with pytest.raises(kind, match=said):
            await films.get("a", giving(clip))
        assert list((tmp_path / "films" / "work").iterdir()) == []

    asyncio.run(watch())


def test_too_many_are_refused_and_the_end_ends_all(tmp_path: Path) -> None:
    """One more than may wait is refused at once; `close` ends the child and everything that waits."""
    clip = write_clip(tmp_path / "a.avi", [0])

    async def watch() -> None:
        fetching = asyncio.Event()

        async def fetch(path: Path) -> None:
            shutil.copy(clip, path)
            fetching.set()

        films = Films(tmp_path / "films", command=making("time.sleep(60)"))
        tasks = [asyncio.create_task(films.get(str(number), fetch)) for number in range(MAX_WAITING + 1)]
        await fetching.wait()
        with pytest.raises(UnavailableError, match="too many clips"):
            await films.get("one more", fetch)
        await films.close()
        assert all(isinstance(one, UnavailableError) for one in await asyncio.gather(*tasks, return_exceptions=True))

    asyncio.run(watch())
