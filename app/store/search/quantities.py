"""Numbers and quantities: closed ranges, the latter with a unit."""

from __future__ import annotations

from app.fhir.search.values import NumberValue, QuantityValue
from app.store.search.comparisons import NUMBER
from app.store.search.scope import Scope


def number(scope: Scope, value: NumberValue | QuantityValue, lo: str, hi: str) -> str:
    given = {name: (getattr(value, name), "numeric") for name in ("value", "lo", "hi")}
    return scope.fill(NUMBER[value.prefix], {"row_lo": lo, "row_hi": hi}, given)


def quantity(scope: Scope, value: QuantityValue) -> str:
    """The condition on an index row with `lo`, `hi` and `unit_id`."""
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
