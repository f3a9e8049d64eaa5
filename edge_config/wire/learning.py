"""Requests about learning on the device, and their replies: the table of all of them.

Each part of learning has a file of its own: `teaching.py` collects pictures, `versions.py` learns on and goes
back. To add a part: its requests in a file of
its own, their union in `OfLearning`, and the types of their replies in `REPLIES`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from edge_config.wire import burn_in, teaching, versions
from edge_config.wire.burn_in import OfBurnIn
from edge_config.wire.teaching import OfTeaching
from edge_config.wire.versions import OfVersions

OfLearning = OfTeaching | OfVersions | OfBurnIn
"""All requests about learning; a part adds its own with `|`."""

REPLIES: Mapping[str, type[msgspec.Struct]] = {**teaching.REPLIES, **versions.REPLIES, **burn_in.REPLIES}
"""Name of a request -> the type of its reply."""
