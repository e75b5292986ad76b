"""Composites: all components in one row. `app/fhir/search/rows.py` says which columns a component fills."""

from __future__ import annotations

from app.fhir.search.parameters import SearchParameter
from app.fhir.search.text import LONGEST, normalise
from app.fhir.search.values import (
    CompositeValue,
    DateValue,
    NumberValue,
    QuantityValue,
    ReferenceValue,
    StringValue,
    TokenValue,
)
from app.store.search.dates import date
from app.store.search.quantities import number, quantity
from app.store.search.references import reference
from app.store.search.scope import Scope
from app.store.search.strings import starts_with
from app.store.search.tokens import token


def composite(scope: Scope, parameter: SearchParameter, value: CompositeValue) -> str:
    numbers = iter(("i.lo", "i.hi"))
    tests = []
    for position, part in enumerate(value.components):
        match part:
            case TokenValue():
                columns = ("i.system2_id", "i.code2") if position else ("i.system_id", "i.code")
                tests.append(token(scope, part, *columns))
            case QuantityValue():
                tests.append(quantity(scope, part))
            case NumberValue():
                column = next(numbers)
                tests.append(number(scope, part, column, column))
            case DateValue():
                tests.append(date(scope, part, "i.lo_at", "i.hi_at"))
            case StringValue():
                tests.append(starts_with(scope, "i.text", normalise(part.text)[:LONGEST]))
            case ReferenceValue(url=None):
                tests.append(reference(scope, parameter, part, "i.target_rid"))
            case ReferenceValue(url=url):
                tests.append(f"i.text = {scope.bind(url)}")
            case _:
                raise ValueError("No composite of R4 has a component of this kind.")
    return f"({' AND '.join(tests)})"
