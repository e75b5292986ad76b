"""Where an answer leads: what can be asked next with the id that it holds (OpenAPI link objects)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from app.fhir.definitions import is_resource_type
from app.fhir.openapi.names import operation_id
from app.fhir.routes import ROUTES, Route
from app.fhir.types import Interaction, Json

_ITS_ID = "$response.body#/id"
_OF_FIRST = "$response.body#/entry/0/resource/id"
# What makes something: the type of it, blank for that of the path, and where its id stands in the answer.
_MAKING: Mapping[Interaction, tuple[str, str]] = {
    Interaction.CREATE: ("", _ITS_ID),
    Interaction.REFER: ("Task", _OF_FIRST),
    Interaction.FORWARD: ("Task", _OF_FIRST),
}


def of(route: Route, type_name: str, described: frozenset[str]) -> Json:
    """The links of an answer with 201, by the operation that they lead to; `described` are the types there are."""
    if route.interaction not in _MAKING:
        return {}
    made, place = _MAKING[route.interaction]
    found = made or type_name
    return {} if found not in described else {name: _link(name, place) for name in sorted(_next(found))}


def _link(name: str, place: str) -> Json:
    return {"operationId": name, "parameters": {"id": place}}


def _next(type_name: str) -> Iterator[str]:
    for route in ROUTES:
        first, _, rest = route.template.partition("/")
        is_of_type = first == "{type}" or (is_resource_type(first) and first == type_name)
        if is_of_type and "{id}" in rest and "{version}" not in rest and "{member}" not in rest:
            yield operation_id(route, type_name)
