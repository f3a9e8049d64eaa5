"""Move the journal from memory into the file, once the disk works again."""

from __future__ import annotations

from dataclasses import replace

from runtime.journal.database import Journal


def move(source: Journal, target: Journal) -> None:
    """Move everything in a journal to another; entries that cannot be written stay where they are.

    The entries keep their places, unless they would not be behind those of the target: its clock was set back.

    Raises:
        OSError, sqlite3.Error: of the target.
    """
    group = source.oldest()
    first = group[0].row if group else source.last_row + 1
    shift = max(0, target.last_row + 1 - first) if group else 0
    target.adopt(source.notes().lifted(first, shift))
    while group:
        target.write([replace(entry, row=entry.row + shift) for entry in group])
        source.remove(group)
        group = source.oldest()
    source.clear()
