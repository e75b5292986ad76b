"""Values of tokens that are not codes: `:text` looks for their displays, `:of-type` for typed identifiers.

https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from functools import cache

from app.fhir.search.literals import Reading, split, unescape
from app.fhir.search.parameters import SearchParameter, parameter
from app.fhir.search.paths import leaves, union_parts
from app.fhir.search.refusals import Refused, shown
from app.fhir.search.text import normalise, token_key
from app.fhir.search.values import IdentifierValue, StringValue


def read_display(text: str, reading: Reading) -> StringValue:
    """The start of a text, or of a word in it."""
    if reading.parameter.column:
        raise Refused(f"The modifier ':text' cannot be used with {shown(reading.parameter.code)}, which has no text.")
    found = unescape(text)
    if not normalise(found):
        raise ValueError
    return StringValue(found)


def read_of_type(text: str, reading: Reading) -> IdentifierValue:
    """`system|code|value`: system and code of the type, value of the identifier; none may be left out."""
    if not may_hold_identifiers(reading.parameter):
        raise Refused(f"The parameter {shown(reading.parameter.code)} holds no identifiers, so they have no type.")
    system, code, value = (token_key(unescape(part)) for part in split(text, "|"))  # else ValueError
    if not (system and code and value):
        raise ValueError
    return IdentifierValue(system, code, value)


def may_hold_identifiers(known: SearchParameter) -> bool:
    """Whether there may be Identifiers among the values: what is found by more than a plain path counts."""
    return not known.column and "Identifier" in _types(known.type, known.code)


@cache
def _types(type_name: str, code: str) -> frozenset[str]:
    """The types of the values."""
    known = parameter(type_name, code)
    found: set[str] = set()
    for part in union_parts(known.expression or "") if known else ():
        places = leaves(part, type_name)
        found |= {"Identifier"} if places is None else {leaf.type for leaf in places}
    return frozenset(found)
