"""Required bindings: the code must be of the value set (R4 terminologies.html#required)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from app.fhir.definitions import required_codes
from app.fhir.findings import Check, Finding, Outcome
from app.fhir.primitives import OPEN_CODES, code
from app.fhir.validation.quick import Test, member
from app.fhir.validation.walk import Walk


def code_test(url: str) -> Test:
    """The check of a `code` bound to the value set `url`."""
    if url in required_codes():
        allowed = frozenset(code for codes in required_codes()[url].values() for code in codes)
        return Test(_member_check(allowed.__contains__, _refusal(url)), member(allowed))
    return Test(_member_check(OPEN_CODES[url], _refusal(url)) if url in OPEN_CODES else code)


def _member_check(is_member: Callable[[str], object], refusal: Outcome) -> Check:
    def check(value: Any, walk: Walk) -> Outcome:
        if value.__class__ is str and is_member(value):
            return None
        return code(value, walk) or refusal

    return check


def concept_check(url: str) -> Check:
    """The check of a CodeableConcept, as a whole, bound to `url`: at least one coding is of the value set.

    One with neither coding nor text is let pass, like a primitive that only has an extension to say why.
    """
    allowed = frozenset((system, code) for system, codes in required_codes()[url].items() for code in codes)
    refusal = _refusal(url)

    def check(value: dict[str, Any], _: Walk) -> Outcome:
        return None if any(_pair(coding) in allowed for coding in _list(value.get("coding"))) else refusal

    return check


def _refusal(url: str) -> Outcome:
    return (Finding("code-invalid", f"A code of the value set {url} is required here."),)


def _pair(coding: Any) -> tuple[str, str] | None:
    if not isinstance(coding, dict):
        return None
    system, symbol = coding.get("system"), coding.get("code")
    return (system, symbol) if isinstance(system, str) and isinstance(symbol, str) else None


def _list(value: Any) -> Collection[Any]:
    return value if isinstance(value, list) else ()
