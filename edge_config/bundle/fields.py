"""Types of the fields of manifest.json, with their ranges."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=1, le=2**31)]
Width = Annotated[int, Meta(ge=1, le=2**20)]
"""Length of a vector, or links of an element."""

Fraction = Annotated[float, Meta(ge=0, le=1)]
NonNegative = Annotated[float, Meta(ge=0)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Triple = tuple[float, float, float]
Side = Annotated[int, Meta(ge=1, le=16384)]
HeightWidth = tuple[Side, Side]
Starts = Annotated[tuple[Annotated[int, Meta(ge=0, le=16384)], ...], Meta(min_length=1, max_length=99)]


class ManifestPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A part of the manifest; an unknown key belongs to another version. The range of a field is in its annotation."""
