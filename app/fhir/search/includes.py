"""What is to be added to the matches: `_include` and `_revinclude` (https://hl7.org/fhir/R4/search.html#revinclude)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from app.fhir.definitions import is_resource_type, resource_types
from app.fhir.search.clauses import Setting
from app.fhir.search.parameters import Kind, SearchParameter, parameter, parameters
from app.fhir.search.paths import leaves, union_parts
from app.fhir.search.query import Include
from app.fhir.search.refusals import Refused, shown

_EVERY = "*"
_BY_URL = frozenset({"canonical", "uri"})


def read_include(name: str, text: str, setting: Setting) -> dict[str, Any]:
    """The field `includes` of a query. Raises Refused when type, parameter or target are not those of R4."""
    code, _, modifier = name.partition(":")
    reverse, iterate = code == "_revinclude", bool(modifier)
    if text != _EVERY:
        return {"includes": (_read(name, text.split(":"), reverse, iterate),)}
    sources = resource_types() if reverse or iterate else setting.types
    return {"includes": tuple(Include(each, every_reference(each), None, reverse, iterate) for each in sources)}


def _read(name: str, parts: list[str], reverse: bool, iterate: bool) -> Include:
    if len(parts) not in (2, 3) or not all(parts):
        raise Refused(f"The parameter {shown(name)} needs Type:parameter, Type:parameter:TargetType, Type:* or *.")
    source, code, target = parts[0], parts[1], parts[2] if len(parts) == 3 else None
    for type_name in (source, target):
        if type_name is not None and not is_resource_type(type_name):
            raise Refused(f"The parameter {shown(name)} names a type that R4 does not have.")
    followed = every_reference(source) if code == _EVERY else (_reference(name, source, code),)
    if target is not None:
        followed = tuple(each for each in followed if may_point_to(each, target))
    if not followed:
        raise Refused(f"The parameter {shown(name)} names a target to which the search parameter cannot point.")
    return Include(source, followed, target, reverse, iterate)


def _reference(name: str, source: str, code: str) -> SearchParameter:
    found = parameter(source, code)
    if found is None or found.kind is not Kind.REFERENCE or not found.supported:
        raise Refused(f"The parameter {shown(name)} names what is no search parameter of {source} for references.")
    return found


@cache
def every_reference(type_name: str) -> tuple[SearchParameter, ...]:
    """The parameters under whose ids the references of a type are indexed."""
    return tuple(each for each in parameters(type_name).values() if each.kind is Kind.REFERENCE and each.has_rows)


def may_point_to(reference: SearchParameter, type_name: str) -> bool:
    possible = (reference.target_type,) if reference.target_type else reference.targets
    return not possible or type_name in possible


@cache
def names_urls(reference: SearchParameter) -> bool:
    """Whether values may be canonical references: the `url` of a resource instead of its place."""
    return any(_names_urls(part, reference.type) for part in union_parts(reference.expression or ""))


def _names_urls(part: str, type_name: str) -> bool:
    places = leaves(part, type_name)
    return places is None or any(leaf.type in _BY_URL for leaf in places)


def urls_of(types: Iterable[str]) -> set[int]:
    """The ids under which the `url` of resources of these types is indexed; not all types have one."""
    return _ids("url", Kind.URI, types)


def versions_of(types: Iterable[str]) -> set[int]:
    """Likewise for their business version."""
    return _ids("version", Kind.TOKEN, types)


def _ids(code: str, kind: Kind, types: Iterable[str]) -> set[int]:
    found = (parameter(name, code) for name in types)
    return {each.id for each in found if each is not None and each.kind is kind}
