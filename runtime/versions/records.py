"""What is known of learnt versions on disk: JSON files, each written as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from edge_config.saving import put_durably
from edge_config.wire.versions import VersionReport

SHORT = 12
"""Digits of an id in names of files and in what people read."""

T = TypeVar("T", bound=msgspec.Struct)


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A learnt bundle: `ID.json` beside it.

    Attributes:
        id: its id.
        root: id of the bundle that was not learnt here and that it grew from: that of the settings, or an assigned one.
        parent: id of the bundle that it was made from: the root, or another version.
        round: number of rounds of learning since the root, from 1.
        number: counts on with each version of the root, also where one was made from an earlier one; 0: as `round`.
        at: when it was sealed, ISO 8601, UTC.
        by: public key of the client that asked for it, and the person that it names: `KEY for NAME`; empty without.
        learnt: names of the pictures that were learnt.
        held_out: names of the pictures that set its threshold, those of its ancestors too.
        added: entries that joined the bank.
        dropped: entries that were dropped from it.
        entries: size of its bank.
        threshold: its threshold.
        threshold_before: that of its parent.
        faults: synthetic faults that were shown, that its parent finds, and that it finds.
        problems: why it may not serve without a person's consent, a sentence each; empty if it may.
        consent: public key of the client that consented; `-` without keys; empty if nobody has.
        report: what learning has changed; None in records of earlier releases.
    """

    id: str
    root: str
    parent: str
    round: int
    at: str
    by: str = ""
    learnt: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    added: int = 0
    dropped: int = 0
    entries: int = 0
    threshold: float = 0.0
    threshold_before: float = 0.0
    faults: tuple[int, int, int] = (0, 0, 0)
    problems: tuple[str, ...] = ()
    consent: str = ""
    report: VersionReport | None = None
    number: int = 0

    @property
    def short(self) -> str:
        """The first digits of its id."""
        return self.id[:SHORT]

    @property
    def waits(self) -> bool:
        """Whether a person must consent before it may serve."""
        return bool(self.problems) and not self.consent


class Active(msgspec.Struct, frozen=True, kw_only=True):
    """`active.json`: which bundle serves a camera.

    Attributes:
        root: id of the root. With another root this file counts for nothing.
        id: id of the bundle that serves: a version, or the root.
        path: where it was, for people.
        since: when it was activated, ISO 8601, UTC.
        by: public key of the client that asked for it, and the person that it names: `KEY for NAME`; empty without.
        assignment: token of `root.json` at that time, empty without; with another one this file counts for nothing.
    """

    root: str
    id: str
    path: str
    since: str
    by: str = ""
    assignment: str = ""


class ServedBefore(msgspec.Struct, frozen=True, kw_only=True):
    """What served before another root was assigned.

    Attributes:
        root: id of its root.
        path: path of its root; empty: that of the bundle of the settings.
        active: id of the version that served; empty: the root itself.
    """

    root: str
    path: str = ""
    active: str = ""

    @property
    def id(self) -> str:
        """The id of the bundle that served."""
        return self.active or self.root


class RootPointer(msgspec.Struct, frozen=True, kw_only=True):
    """`root.json`: which root was assigned to a camera. It counts while the bundle of the settings is the same.

    Attributes:
        token: random text, another one for each assignment.
        settings: id of the bundle that the settings named then.
        id: id of the root.
        path: path of the root; empty: that of the bundle of the settings.
        since: when it was assigned, ISO 8601, UTC.
        active: id of the version that serves until `active.json` names one with this token; empty: the root itself.
        before: what served before; None: there is no way back.
        by: public key of the client that asked for it, and the person that it names: `KEY for NAME`; empty without.
    """

    token: str
    settings: str
    id: str
    path: str
    since: str
    active: str = ""
    before: ServedBefore | None = None
    by: str = ""

    @property
    def paths(self) -> set[str]:
        """The paths of the bundles that it needs, but for that of the settings."""
        return {self.path, self.before.path if self.before else ""} - {""}

    @property
    def serves(self) -> str:
        """The id of the bundle that serves from the assignment on."""
        return self.active or self.id


class StagedPaths(msgspec.Struct, frozen=True, kw_only=True):
    """`staged.json`: bundles that were staged for a camera, and were not deleted.

    Attributes:
        paths: their paths.
    """

    paths: tuple[str, ...] = ()


class LearningOrder(msgspec.Struct, frozen=True, kw_only=True):
    """`work/order.json`: learning that was asked for and has not ended.

    Attributes:
        camera: name of the camera.
        by: public key of the client that asked for it, and the person that it names: `KEY for NAME`; empty without.
        force: whether the result serves in spite of problems.
        starts: how often a learner was started for it.
    """

    camera: str
    by: str = ""
    force: bool = False
    starts: int = 0


def line(versions: Mapping[str, Version], bundle_id: str) -> list[Version]:
    """Return a version and its ancestors, as far as they are kept."""
    found = []
    while (version := versions.get(bundle_id)) is not None:
        found.append(version)
        bundle_id = version.parent
    return found


def write(path: Path, record: msgspec.Struct) -> None:
    """Write a record, so that a power cut leaves it whole, or the old one.

    Raises:
        NotWritten: it cannot be written.
    """
    put_durably(path, msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")


def read(path: Path, kind: type[T]) -> T | None:
    """Read a record; None if there is none.

    Raises:
        ValueError: it is damaged.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ValueError("damaged") from error
    except msgspec.MsgspecError as error:
        raise ValueError(f"damaged ({error})") from error
