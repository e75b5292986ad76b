"""What value sets hold, and which concepts subsume others. https://hl7.org/fhir/R4/valueset.html#compositions"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce

from app.fhir.terminology.code_systems import CodeSystem
from app.fhir.terminology.concepts import EVERY_CODE, Codes, Concepts, difference, intersection, size, union
from app.fhir.terminology.library import Library, Wanted, value_set
from app.fhir.terminology.refusals import missing, too_costly, unsupported
from app.fhir.types import Json

MOST_CODES = 10_000
MOST_LEVELS = 30
_INCOMPLETE = (
    "http://hl7.org/fhir/StructureDefinition/valueset-toocostly",
    "http://hl7.org/fhir/StructureDefinition/valueset-unclosed",
)


def expand(wanted: Sequence[Wanted], library: Library) -> Concepts:
    """The concepts of one of the value sets. Raises Malformed when it cannot be told or they are too many."""
    expansion = _Expansion(library)
    return _limited(union(*(expansion.of(one) for one in wanted)))


def related(system: str, code: str, library: Library, *, below: bool) -> Concepts:
    """A concept and those that it subsumes, or without `below` those that subsume it. Raises Malformed likewise."""
    known = _complete(library, system)
    return _limited({system: Codes(known.below(code) if below else known.above(code))})


def _limited(concepts: Concepts) -> Concepts:
    if size(concepts) > MOST_CODES:
        raise too_costly(f"A value set may have up to {MOST_CODES} codes here.")
    return concepts


def _complete(library: Library, system: str, version: str = "") -> CodeSystem:
    known = library.system(system, version)
    if known is None:
        raise missing(f"The code system {Wanted('CodeSystem', system, version).canonical} is not stored here.")
    if not known.is_complete:
        raise unsupported(f"The code system {system} is not stored here with all of its concepts.")
    return known


class _Expansion:
    """One expansion: value sets are expanded once, and none while it is being expanded."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._done: dict[int, Concepts] = {}
        self._open: set[int] = set()

    def of(self, wanted: Wanted) -> Concepts:
        definition = self._library.find(wanted)
        if definition is None:
            raise missing(f"The value set {wanted.canonical or f'ValueSet/{wanted.id}'} is not stored here.")
        key = id(definition)
        if key in self._open:
            raise unsupported(f"The value set {definition.get('url', wanted.canonical)} includes itself.")
        if key not in self._done:
            if len(self._open) == MOST_LEVELS:
                raise too_costly(f"Value sets may include one another over up to {MOST_LEVELS} levels here.")
            self._open.add(key)
            self._done[key] = self._content(definition)
            self._open.remove(key)
        return self._done[key]

    def _content(self, definition: Json) -> Concepts:
        compose = definition.get("compose")
        if compose is None:
            return _expanded(definition)
        active = compose.get("inactive") is False
        included = union(*(self._part(part, active=active) for part in compose.get("include", ())))
        excluded = union(*(self._part(part, active=False) for part in compose.get("exclude", ())))
        return difference(included, excluded)

    def _part(self, part: Json, *, active: bool) -> Concepts:
        """What an include or exclude selects: of its system, and in every one of its value sets."""
        sets = [self.of(value_set(canonical)) for canonical in part.get("valueSet", ())]
        if "system" in part:
            sets.append({part["system"]: self._selected(part, active=active)})
        if not sets:
            raise unsupported("A value set includes something that is neither a system nor a value set.")
        return reduce(intersection, sets)

    def _selected(self, part: Json, *, active: bool) -> Codes:
        system, version = part["system"], part.get("version", "")
        codes = self._chosen(part, system, version)
        if not active:
            return codes
        known = self._library.system(system, version)
        if codes.others:
            known = _complete(self._library, system, version)
        return codes & ~Codes(known.inactive()) if known is not None else codes

    def _chosen(self, part: Json, system: str, version: str) -> Codes:
        if "concept" in part:
            return Codes(frozenset(concept["code"] for concept in part["concept"] if "code" in concept))
        if filters := part.get("filter"):
            return Codes(_filtered(_complete(self._library, system, version), filters))
        known = self._library.system(system, version)
        # Whether a code is one of a system needs no more than the system's name.
        return Codes(known.codes) if known is not None and known.is_complete else EVERY_CODE


def _filtered(system: CodeSystem, filters: Iterable[Json]) -> frozenset[str]:
    """What every filter lets through."""
    selected = (system.select(one.get("property", ""), one.get("op", ""), one.get("value", "")) for one in filters)
    return frozenset.intersection(*selected)


def _expanded(definition: Json) -> Concepts:
    """The content of a value set that says nothing but what it was expanded to."""
    expansion = definition.get("expansion")
    if expansion is None:
        raise unsupported(f"The value set {definition.get('url', '')} has no content.")
    found: dict[str, set[str]] = {}
    entries, stack = 0, list(expansion.get("contains", ()))
    while stack:
        entry = stack.pop()
        entries += 1
        stack.extend(entry.get("contains", ()))
        if "code" in entry and not entry.get("abstract"):
            found.setdefault(entry.get("system", ""), set()).add(entry["code"])
    if expansion.get("total", entries) > entries or any(map(_is_incomplete, expansion.get("extension", ()))):
        raise unsupported(f"The value set {definition.get('url', '')} is stored with a part of its expansion only.")
    return {system: Codes(frozenset(codes)) for system, codes in found.items()}


def _is_incomplete(extension: Json) -> bool:
    return extension.get("url") in _INCOMPLETE and extension.get("valueBoolean") is True
