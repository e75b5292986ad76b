"""Which of several stored versions of a definition counts."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.fhir.types import Json

_NUMBERED = re.compile(r"(\d+(?:\.\d+)*)(?:-([0-9A-Za-z.\-]+))?(?:\+[0-9A-Za-z.\-]+)?", re.ASCII)

_Key = tuple[tuple[int, ...], bool, str]


def chosen(definitions: Sequence[Json], version: str = "") -> Json | None:
    """The version that is asked for, otherwise the newest; what is retired only where there is nothing else.

    Versions compare as numbers where all of them are; otherwise what was written last is the newest.
    """
    if version:
        definitions = [one for one in definitions if one.get("version") == version]
    usable = [one for one in definitions if one.get("status") != "retired"] or list(definitions)
    keys = [_key(str(one.get("version", ""))) for one in usable]
    if all(key is not None for key in keys):
        ranked = [(key, _written(one)) for key, one in zip(keys, usable, strict=True)]
        return max(zip(ranked, usable, strict=True), key=lambda pair: pair[0], default=(None, None))[1]
    return max(usable, key=_written, default=None)


def _key(version: str) -> _Key | None:
    """Numbers first; a version with a suffix, such as `2.0.0-draft`, comes before the one without."""
    found = _NUMBERED.fullmatch(version)
    if found is None:
        return None
    numbers = [int(number[:18]) for number in found[1].split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers), found[2] is None, found[2] or ""


def _written(definition: Json) -> tuple[str, str]:
    return str(definition.get("meta", {}).get("lastUpdated", "")), str(definition.get("id", ""))
