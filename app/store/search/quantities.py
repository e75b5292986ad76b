"""Numbers and quantities: closed ranges, the latter with a unit."""

from __future__ import annotations

from dataclasses import replace

from app.fhir.search.values import NumberValue, QuantityValue
from app.fhir.units import Scale, scale
from app.store.search.comparisons import NUMBER
from app.store.search.scope import Scope
from app.store.search.units import is_ucum


def number(scope: Scope, value: NumberValue | QuantityValue, lo: str, hi: str) -> str:
    given = {name: (getattr(value, name), "numeric") for name in ("value", "lo", "hi")}
    return scope.fill(NUMBER[value.prefix], {"row_lo": lo, "row_hi": hi}, given)


def quantity(scope: Scope, value: QuantityValue) -> str:
    """The condition on an index row with `lo`, `hi` and `unit_id`."""
    if is_ucum(value):
        return _converted(scope, value)
    found = number(scope, value, "i.lo", "i.hi")
    if value.code is None and value.system is None:
        return found
    tests = []
    if value.code is not None:
        code = scope.bind(value.code)
        tests.append(f"(u.code = {code} OR u.unit = {code})" if value.system is None else f"u.code = {code}")
    if value.system is not None:
        tests.append(f"u.system = {scope.bind(value.system)}")
    return f"({found} AND i.unit_id IN (SELECT u.id FROM unit AS u WHERE {' AND '.join(tests)}))"


def _converted(scope: Scope, value: QuantityValue) -> str:
    """The value in every unit that rows have and that means the same: one test for the units of one scale."""
    units: dict[Scale, list[int]] = {}
    for number_of_unit, code in scope.ucum.items():
        if found := scale(value.code or "", code):
            units.setdefault(found, []).append(number_of_unit)
    tests = [
        f"i.unit_id = ANY ({scope.bind(ids)}::int[]) AND {number(scope, _scaled(value, by), 'i.lo', 'i.hi')}"
        for by, ids in units.items()
    ]
    return f"({' OR '.join(tests)})" if tests else "false"


def _scaled(value: QuantityValue, by: Scale) -> QuantityValue:
    return replace(value, value=by(value.value), lo=by(value.lo), hi=by(value.hi))
