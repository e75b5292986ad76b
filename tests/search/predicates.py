"""What a query asks, as small functions of the JSON of a resource. Paths are property names joined by dots."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from tests.search.corpus import key, values
from tests.search.synthea import Synthea, refs
from tests.spec.api import Json

Predicate = Callable[[Json, Synthea], bool]
Test = Callable[[Any], bool]


def every(*predicates: Predicate) -> Predicate:
    return lambda r, d: all(predicate(r, d) for predicate in predicates)


def either(*predicates: Predicate) -> Predicate:
    return lambda r, d: any(predicate(r, d) for predicate in predicates)


def no(predicate: Predicate) -> Predicate:
    return lambda r, d: not predicate(r, d)


def always(_: Json, __: Synthea) -> bool:
    return True


def never(_: Json, __: Synthea) -> bool:
    return False


def at(resource: Json, path: str) -> list[Any]:
    return values(resource, *path.split("."))


def has(path: str) -> Predicate:
    return lambda r, d: bool(at(r, path))


def holds(path: str, test: Test) -> Predicate:
    """Some value at the path passes."""
    return lambda r, d: any(map(test, at(r, path)))


def equals(path: str, *wanted: Any) -> Predicate:
    return holds(path, lambda value: value in wanted)


# -- texts and codes


def plain(text: str) -> str:
    """Without case and accents."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in parts if not unicodedata.combining(character))


def starts(path: str, *with_: str) -> Predicate:
    return holds(path, lambda text: plain(text).startswith(with_))


def contains(path: str, part: str) -> Predicate:
    return holds(path, lambda text: part in plain(text))


def coded(path: str, *codes: str) -> Predicate:
    """A coding of the concept at the path has one of the codes."""
    return equals(f"{path}.coding.code", *codes)


def coded_in(path: str, system: str, *codes: str) -> Predicate:
    return holds(f"{path}.coding", lambda c: c.get("system") == system and c["code"] in codes)


def says(path: str, *starts_with: str) -> Predicate:
    """The text of the concept, or the display of one of its codings."""
    return either(starts(f"{path}.text", *starts_with), starts(f"{path}.coding.display", *starts_with))


# -- dates


def when(text: str) -> datetime:
    """A moment; a date is its first."""
    return datetime.fromisoformat(text if "T" in text else f"{text}T00:00:00+00:00")


def moment(path: str, test: Callable[[datetime], bool]) -> Predicate:
    return holds(path, lambda text: test(when(text)))


def within(path: str, start: str, end: str) -> Predicate:
    return moment(path, lambda at: when(start) <= at < when(end))


def span(path: str, test: Callable[[datetime, datetime], bool]) -> Predicate:
    """A Period with a start; without an end it lasts."""
    return holds(path, lambda period: test(when(period["start"]), when(period.get("end", "9999-01-01"))))


# -- quantities


def amount(code: str, test: Test) -> Predicate:
    """The value of an observation with the code."""
    return every(coded("code", code), holds("valueQuantity.value", test))


def part(code: str, test: Test) -> Predicate:
    """The value of a component with the code."""
    coded_so = coded("code", code)
    return lambda r, d: any(coded_so(c, d) and any(map(test, at(c, "valueQuantity.value"))) for c in at(r, "component"))


# Mass per volume in g/L: the units of this dimension that the files use.
_GRAMS_PER_LITRE = {
    "g/L": Decimal(1),
    "g/dL": Decimal(10),
    "mg/dL": Decimal("1e-2"),
    "mg/L": Decimal("1e-3"),
    "ug/mL": Decimal("1e-3"),
    "ug/L": Decimal("1e-6"),
    "ng/mL": Decimal("1e-6"),
    "pg/mL": Decimal("1e-9"),
}


def concentration(test: Test) -> Predicate:
    """A mass per volume, in g/L whatever its unit is."""

    def passes(quantity: Json) -> bool:
        factor = _GRAMS_PER_LITRE.get(quantity.get("code", ""))
        return factor is not None and test(Decimal(quantity["value"]) * factor)

    return holds("valueQuantity", passes)


# -- references


def of_first(path: str) -> Predicate:
    """Refers to the patient with most observations."""
    return lambda r, d: d.first in refs(r, *path.split("."))


def to(path: str, predicate: Predicate) -> Predicate:
    """Refers to a resource for which the predicate holds."""
    return lambda r, d: any(predicate(target, d) for target in d.at(r, *path.split(".")))


def from_(kind: str, path: str, predicate: Predicate) -> Predicate:
    """A resource of the type for which the predicate holds refers to it."""

    @cache
    def targets(data: Synthea) -> frozenset[str]:
        return frozenset(text for r in data.of(kind) if predicate(r, data) for text in refs(r, *path.split(".")))

    return lambda r, d: key(r) in targets(d)


def of_type(*types: str) -> Predicate:
    return lambda r, d: r["resourceType"] in types
