"""Values that name value sets, concepts and places in a hierarchy: `:in`, `:not-in`, `:above` and `:below`.

https://hl7.org/fhir/R4/search.html#token and #recursive. The system of a plain code is the one that the required
binding of its element implies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

from app.fhir.definitions import required_codes, resource_types
from app.fhir.references import local
from app.fhir.search.literals import READERS, Reader, Reading, read_token, unescape
from app.fhir.search.parameters import Kind, SearchParameter, parameter, parameters
from app.fhir.search.paths import Leaf, leaves, union_parts
from app.fhir.search.query import Modifier
from app.fhir.search.refusals import Refused, shown
from app.fhir.search.token_columns import system_of
from app.fhir.search.values import ReferenceValue, TokenValue, UriValue, Value

_MIME_TYPES = "http://hl7.org/fhir/ValueSet/mimetypes"
_CODED = frozenset({"code", "Coding", "CodeableConcept"})
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:[^\s]+")


def read_value_set(text: str, reading: Reading) -> UriValue:
    """A value set: the URL or `url|version` that it calls itself, or `ValueSet/id`."""
    _refuse_uncoded(reading.parameter)
    found = unescape(text)
    target = local(found, reading.base_url)
    if not _ABSOLUTE.fullmatch(found) and (target is None or target.type != "ValueSet"):
        raise ValueError
    return UriValue(found)


def read_concept(text: str, reading: Reading) -> TokenValue:
    """A concept, `system|code`; of a mime type, which has no system, the code alone."""
    _refuse_uncoded(reading.parameter)
    found = read_token(text, reading)
    if not found.code:
        raise ValueError
    if is_mime_type(reading.parameter):
        return _mime_type(found)
    system = found.system if found.system is not None else _implied_system(reading.parameter, found.code)
    if not system:
        raise ValueError
    return TokenValue(system, found.code)


def read_place(text: str, reading: Reading) -> Value:
    """A resource that is part of a hierarchy of its type, or a canonical URL, whose versions are the hierarchy."""
    found, known = READERS[Kind.REFERENCE](text, reading), reading.parameter
    if not isinstance(found, ReferenceValue):
        raise ValueError
    if found.url is not None:
        if not _is_canonical(known):
            raise ValueError
        return found
    only = found.type or known.target_type
    hierarchy_of((only,) if only else known.targets)
    return found


def _mime_type(value: TokenValue) -> TokenValue:
    if value.system is not None:
        raise ValueError
    return value


def _refuse_uncoded(known: SearchParameter) -> None:
    if known.column or not holds_concepts(known):
        raise Refused(f"The parameter {shown(known.code)} holds no concepts, so this modifier cannot be used with it.")


@cache
def part_of(type_name: str) -> SearchParameter | None:
    """The parameter by which resources of a type say which resource of the same type they are part of."""
    known = parameters(type_name)
    found = known.get("partof") or known.get("part-of")
    return found if found is not None and type_name in found.targets else None


def hierarchy_of(types: Iterable[str]) -> SearchParameter:
    """`part_of` the one type among these that has it. Raises ValueError when there are several, or none."""
    (found,) = (known for name in types if name in resource_types() and (known := part_of(name)))
    return found


def holds_concepts(known: SearchParameter) -> bool:
    """Whether there may be concepts among the values: what is found by an expression that is no plain path counts."""
    return any(leaf is None or leaf.type in _CODED for leaf in _leaves(known.type, known.code))


def is_mime_type(known: SearchParameter) -> bool:
    return any(leaf is not None and leaf.codes == _MIME_TYPES for leaf in _leaves(known.type, known.code))


def has_no_systems(known: SearchParameter) -> bool:
    """Whether the values are plain codes of which R4 does not say the system, such as languages."""
    return all(
        leaf is not None and leaf.type == "code" and leaf.codes not in required_codes()
        for leaf in _leaves(known.type, known.code)
    )


def _implied_system(known: SearchParameter, code: str) -> str | None:
    """The system of a code where every value is a plain code with a required binding."""
    found = _leaves(known.type, known.code)
    systems = {system_of(leaf.codes or "", code) if leaf and leaf.type == "code" else None for leaf in found}
    return systems.pop() if len(systems) == 1 else None


def _is_canonical(known: SearchParameter) -> bool:
    return any(leaf is None or leaf.type in ("canonical", "uri") for leaf in _leaves(known.type, known.code))


@cache
def _leaves(type_name: str, code: str) -> tuple[Leaf | None, ...]:
    """Where the values stand; None for a part of the expression that is no plain path."""
    known = parameter(type_name, code)
    found: list[Leaf | None] = []
    for part in union_parts(known.expression or "") if known else ():
        found.extend(leaves(part, type_name) or (None,))
    return tuple(found)


READERS_UNDER: Mapping[tuple[Kind, Modifier], Reader] = {
    (Kind.TOKEN, Modifier.IN): read_value_set,
    (Kind.TOKEN, Modifier.NOT_IN): read_value_set,
    (Kind.TOKEN, Modifier.ABOVE): read_concept,
    (Kind.TOKEN, Modifier.BELOW): read_concept,
    (Kind.REFERENCE, Modifier.ABOVE): read_place,
    (Kind.REFERENCE, Modifier.BELOW): read_place,
}
_VALUE_SET = "the URL of a value set or ValueSet/id"
_CONCEPT = "system|code, or a code where the parameter implies the system"
_PLACE = "an id, with its type where it is not clear, of a type whose resources are parts of one another"
EXPECTED_UNDER: Mapping[tuple[Kind, Modifier], str] = {
    (Kind.TOKEN, Modifier.IN): _VALUE_SET,
    (Kind.TOKEN, Modifier.NOT_IN): _VALUE_SET,
    (Kind.TOKEN, Modifier.ABOVE): _CONCEPT,
    (Kind.TOKEN, Modifier.BELOW): _CONCEPT,
    (Kind.REFERENCE, Modifier.ABOVE): _PLACE,
    (Kind.REFERENCE, Modifier.BELOW): _PLACE,
}
