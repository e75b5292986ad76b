"""What one resource contributes to the index tables. The first column of every row is `SearchParameter.id`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from app.fhir.references import Target

Display = tuple[str, str]
"""The code of a token ("" for an Identifier, or without a code) and the normalised text that it comes with."""


class Composite(NamedTuple):
    """One combination of component values inside one element.

    The first component of every R4 composite is a token: `system`, `code`. Where the others go:

    | component | columns |
    | --- | --- |
    | token | `system2`, `code2` |
    | quantity | `lo`, `hi` (None: open) and `unit_system`, `unit_code`, `unit` |
    | number, then a further number | `lo`, then `hi` (the coordinates of MolecularSequence) |
    | date | `lo_at`, `hi_at` |
    | string | `text`, normalised |
    | reference | `target_type`, `target_id` on this server, `text` elsewhere |
    """

    param: int
    system: str | None
    code: str
    system2: str | None = None
    code2: str | None = None
    lo: Decimal | None = None
    hi: Decimal | None = None
    unit_system: str | None = None
    unit_code: str | None = None
    unit: str | None = None
    lo_at: int | None = None
    hi_at: int | None = None
    text: str | None = None
    target_type: str | None = None
    target_id: str | None = None


@dataclass(slots=True)
class IndexRows:
    """The rows by table.

    tokens: system (None: none), code ("": none, the value has only a display), display. references: type and id on this
    server. strings: normalised, as written; or a part of a long text for `:contains`, behind PART, with "" as written.
    uris: also foreign and canonical references. dates: µs since 1970 UTC, half-open, MIN and MAX when open.
    numbers: closed. quantities: lo, hi (None: open), system, code, unit. positions: latitude, longitude.
    composites: also the values of identifiers with their types. words: of the whole resource, as `words.vector` says.

    `contained` are the rows of contained resources by type and key, which stand in `references` like type and id.
    `fragments` is for those who make the rows: what a reference `#id` leads to.
    """

    tokens: list[tuple[int, str | None, str, Display | None]] = field(default_factory=list)
    references: list[tuple[int, str, str]] = field(default_factory=list)
    strings: list[tuple[int, str, str]] = field(default_factory=list)
    uris: list[tuple[int, str]] = field(default_factory=list)
    dates: list[tuple[int, int, int]] = field(default_factory=list)
    numbers: list[tuple[int, Decimal, Decimal]] = field(default_factory=list)
    quantities: list[tuple[int, Decimal | None, Decimal | None, str | None, str | None, str | None]] = field(
        default_factory=list
    )
    positions: list[tuple[int, float, float]] = field(default_factory=list)
    composites: list[Composite] = field(default_factory=list)
    words: list[tuple[str]] = field(default_factory=list)
    contained: dict[tuple[str, str], IndexRows] = field(default_factory=dict)
    fragments: Mapping[str, Target] = field(default_factory=dict, compare=False, repr=False)
