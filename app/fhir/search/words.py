"""The words of a resource, for `_text` and `_content` (https://hl7.org/fhir/R4/search.html#content).

Words are letters and digits in one piece, normalised as strings are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from app.fhir.definitions import children, is_primitive
from app.fhir.narrative import text_of
from app.fhir.search.text import whole

Json = dict[str, Any]

LONGEST_WORD = 60
MOST_BYTES = 500_000
"""How much of the words of one resource is kept: what PostgreSQL takes has a limit of 1 MiB."""

_WORD = re.compile(r"[^\W_]+")
_SEARCHED = frozenset({"string", "markdown", "code"})


def words(text: str) -> dict[str, None]:
    """The words in order, each once."""
    return dict.fromkeys(found[:LONGEST_WORD] for found in _WORD.findall(whole(text)))


def vector(resource: Json, *, content: bool) -> str:
    """What stands in the index for a resource, as PostgreSQL reads a tsvector; empty when there is nothing.

    Words of the narrative have the weight A, and with `content` those of all other texts D.
    """
    div = resource.get("text", {}).get("div")
    weights = dict.fromkeys(words(text_of(div)), "A") if div else {}
    if content:
        others = words(" ".join(_texts(resource, resource["resourceType"])))
        weights |= {word: "D" for word in others if word not in weights}
    return " ".join(_within_bounds(weights))


def _within_bounds(weights: Mapping[str, str]) -> Iterator[str]:
    taken = 0
    for word, weight in weights.items():
        taken += len(word.encode()) + 8
        if taken > MOST_BYTES:
            return
        yield f"'{word}':1{weight}"


def _texts(value: Json, path: str) -> Iterator[str]:
    """The texts of an object and of what it holds, except contained resources and narratives."""
    names = _names(path)
    for name, item in value.items():
        if name not in names:
            continue
        inner = names[name]
        for part in item if isinstance(item, list) else (item,):
            if inner is None:
                if part is not None:
                    yield part
            else:
                yield from _texts(part, inner)


@cache
def _names(path: str) -> Mapping[str, str | None]:
    """The properties of a type or path that are texts (None) or objects (their type or path)."""
    found: dict[str, str | None] = {}
    for element in children(path).values():
        for name, element_type in element.json_names().items() if element.name != "id" else ():
            code = element_type.code if element_type else ""
            if code in _SEARCHED:
                found[name] = None
            elif code in ("", "BackboneElement", "Element"):
                found[name] = element.same_as or element.path
            elif code not in ("Resource", "Narrative", "xhtml") and not is_primitive(code):
                found[name] = code
    return found
