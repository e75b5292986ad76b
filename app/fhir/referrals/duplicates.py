"""Whether one ServiceRequest asks for what another asks for already: graded by a table of rules, the strongest first.

https://hl7.org/fhir/R4/extension-match-grade.html has the grades. The rules compare orders of the same client.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from app.fhir.own.codes import IDENTIFIER_TYPE, PLACER, DuplicateReason, codes_of
from app.fhir.types import Json

MATCH_GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"
OPEN = frozenset({"draft", "active", "on-hold"})


class Grade(StrEnum):
    """How sure it is, the surest first."""

    CERTAIN = "certain"
    PROBABLE = "probable"
    POSSIBLE = "possible"

    @property
    def score(self) -> float:
        return _SCORES[self]

    def reaches(self, threshold: Grade) -> bool:
        return self.score >= threshold.score


_SCORES: Mapping[Grade, float] = {Grade.CERTAIN: 1.0, Grade.PROBABLE: 0.8, Grade.POSSIBLE: 0.5}


@dataclass(frozen=True, slots=True)
class Asked:
    """What an order asks for, as far as duplicates go. `performers` are references to who does it, or would."""

    identifiers: frozenset[tuple[str, str]]
    codes: frozenset[tuple[str, str]]
    categories: frozenset[tuple[str, str]]
    performers: frozenset[str]
    is_open: bool
    recently_completed: bool = False


@dataclass(frozen=True, slots=True)
class Likeness:
    """How sure it is that two orders ask for the same, and why."""

    grade: Grade
    reasons: tuple[DuplicateReason, ...]


def asked(request: Json, performers: frozenset[str], *, recently_completed: bool = False) -> Asked:
    """What a ServiceRequest asks for. `performers` are those besides its own, such as the owners of its Tasks."""
    own = {one["reference"] for one in request.get("performer", ()) if "reference" in one}
    return Asked(
        frozenset(_placers(request)),
        frozenset(_codings(request.get("code"))),
        frozenset(coding for category in request.get("category", ()) for coding in _codings(category)),
        performers | own,
        request.get("status") in OPEN,
        recently_completed,
    )


def _placers(request: Json) -> set[tuple[str, str]]:
    """The identifiers that the placer gave: those typed so, and those without a type, which are the order's own."""
    found = set()
    for identifier in request.get("identifier", ()):
        kind = identifier.get("type")
        if "value" in identifier and (kind is None or PLACER in codes_of(kind, IDENTIFIER_TYPE)):
            found.add((identifier.get("system", ""), identifier["value"]))
    return found


def _codings(concept: Json | None) -> set[tuple[str, str]]:
    """The codings of a concept; its text, in small letters, where it has none."""
    if concept is None:
        return set()
    found = {(coding.get("system", ""), coding["code"]) for coding in concept.get("coding", ()) if "code" in coding}
    text = concept.get("text", "").strip().casefold()
    return found or ({("", text)} if text else set())


Rule = Callable[[Asked, Asked], tuple[DuplicateReason, ...] | None]


def _same_identifier(new: Asked, old: Asked) -> tuple[DuplicateReason, ...] | None:
    return (DuplicateReason.SAME_IDENTIFIER,) if new.identifiers & old.identifiers else None


def _same_performer(new: Asked, old: Asked) -> tuple[DuplicateReason, ...] | None:
    if old.is_open and new.codes & old.codes and new.performers & old.performers:
        return DuplicateReason.SAME_CODE, DuplicateReason.SAME_PERFORMER
    return None


def _same_code(new: Asked, old: Asked) -> tuple[DuplicateReason, ...] | None:
    if old.is_open and new.codes & old.codes:
        both = new.performers and old.performers
        return (DuplicateReason.SAME_CODE, *([DuplicateReason.OTHER_PERFORMER] if both else []))
    return None


def _completed(new: Asked, old: Asked) -> tuple[DuplicateReason, ...] | None:
    if old.recently_completed and new.codes & old.codes:
        return DuplicateReason.SAME_CODE, DuplicateReason.RECENTLY_COMPLETED
    return None


def _same_category(new: Asked, old: Asked) -> tuple[DuplicateReason, ...] | None:
    return (DuplicateReason.SAME_CATEGORY,) if old.is_open and new.categories & old.categories else None


RULES: tuple[tuple[Grade, Rule], ...] = (
    (Grade.CERTAIN, _same_identifier),
    (Grade.CERTAIN, _same_performer),
    (Grade.PROBABLE, _same_code),
    (Grade.PROBABLE, _completed),
    (Grade.POSSIBLE, _same_category),
)


def likeness(new: Asked, old: Asked) -> Likeness | None:
    """How much an order is like one that there is; None when it is another matter."""
    for grade, rule in RULES:
        if reasons := rule(new, old):
            return Likeness(grade, reasons)
    return None


def related(one: Json, other: Json) -> bool:
    """Whether one order was made for the other: by being based on it, or by taking its place."""
    return _leads(one, other) or _leads(other, one)


def _leads(later: Json, earlier: Json) -> bool:
    if "id" not in earlier:
        return False
    links = (link.get("reference") for name in ("basedOn", "replaces") for link in later.get(name, ()))
    return f"ServiceRequest/{earlier['id']}" in links
