"""What a release asks of git. Nothing here talks to another machine."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.programs.release.refused import Refused

MAX_NAMED = 3


class Repository:
    """The repository of the work folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def check(self, tag: str) -> None:
        """Check that a release can begin.

        Raises:
            Refused: no git, no name for commits, a detached HEAD, a tree that is not clean, or a tag that exists.
        """
        if not self._try("rev-parse", "--verify", "HEAD"):
            raise Refused(f"{self._root}: not a git repository with a commit; release from a clone")
        if not self._try("var", "GIT_COMMITTER_IDENT"):
            raise Refused("git does not know who you are: git config user.name NAME; git config user.email ADDRESS")
        if not self._try("symbolic-ref", "--quiet", "HEAD"):
            raise Refused("HEAD is on no branch, so the release commit would be on none: git switch BRANCH")
        if changed := self.changed():
            more = f" and {len(changed) - MAX_NAMED} more" if len(changed) > MAX_NAMED else ""
            raise Refused(
                f"the tree is not clean ({', '.join(changed[:MAX_NAMED])}{more}): commit or remove them first"
            )
        if self._try("rev-parse", "--quiet", "--verify", f"refs/tags/{tag}"):
            raise Refused(f"the tag {tag} exists: choose a newer version, or if it was never pushed: git tag -d {tag}")

    def changed(self) -> list[str]:
        """Return the files that differ from the last commit, and those that git does not know."""
        return [line[3:] for line in self._call("status", "--porcelain", "--no-renames").splitlines()]

    def branch(self) -> str:
        """Return the name of the branch."""
        return self._call("symbolic-ref", "--short", "HEAD").strip()

    def prepare(self, names: Sequence[str], message: str) -> str:
        """Return the id of a commit with the files as they are now, which is on no branch yet."""
        self._call("add", "--", *names)
        tree = self._call("write-tree").strip()
        return self._call("commit-tree", tree, "-p", "HEAD", "-m", message).strip()

    def unprepare(self) -> None:
        """Let the index be as the last commit again; the files are left alone."""
        self._call("reset", "--quiet")

    def adopt(self, commit: str, tag: str, message: str) -> None:
        """Put a prepared commit on the branch, and an annotated tag on it.

        Raises:
            Refused: the branch got another commit since then, or a file was changed that it changes.
        """
        self._call("merge", "--quiet", "--ff-only", commit)
        self._call("tag", "--annotate", "--message", message, tag, commit)

    def seconds(self, commit: str) -> int:
        """Return the time of a commit, in seconds since 1970."""
        return int(self._call("show", "--no-patch", "--format=%ct", commit))

    def _try(self, *words: str) -> bool:
        return not self._run(words).returncode

    def _call(self, *words: str) -> str:
        done = self._run(words)
        if done.returncode:
            raise Refused(f"git {words[0]}: {' '.join(done.stderr.split())}")
        return done.stdout

    def _run(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        command = ["git", "-C", str(self._root), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)
