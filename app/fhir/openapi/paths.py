"""The paths: the ROUTES table, once for each resource type that is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from app.fhir.definitions import compartments
from app.fhir.openapi import bodies, links, parameters, responses
from app.fhir.openapi.interactions import DESCRIBED, OWN, Described
from app.fhir.openapi.names import operation_id
from app.fhir.openapi.tags import tag_of
from app.fhir.own.operations import OPERATIONS, Operation
from app.fhir.routes import ROUTES, Route
from app.fhir.search.compartments import member_types
from app.fhir.types import SEARCHES, Interaction, Json

_CRITERIA = frozenset({Interaction.CONDITIONAL_UPDATE, Interaction.CONDITIONAL_PATCH, Interaction.CONDITIONAL_DELETE})
_OF_RECORDS: Mapping[str, tuple[str, ...]] = {
    "Patient": ("start", "end", "_since", "_type", "_count", "_cursor"),
    "EpisodeOfCare": ("_since", "_type", "_count", "_cursor"),
}


def paths(types: Sequence[str]) -> dict[str, Json]:
    """The path items by path, in alphabetical order."""
    made: dict[str, Json] = {}
    for route in ROUTES:
        for type_name in types_of(route, types):
            path = "/" + route.template.replace("{type}", type_name)
            item = made.setdefault(path, {"parameters": list(_of_path(route, type_name))})
            item[route.method.lower()] = _operation(route, type_name, frozenset(types))
    return dict(sorted(made.items()))


def types_of(route: Route, types: Sequence[str]) -> Iterator[str]:
    """The types for which a route is a path of its own: blank for one of the system."""
    first = route.template.partition("/")[0]
    if route.level == "system":
        yield ""
    elif first != "{type}":
        yield from (name for name in types if name == first)
    elif route.interaction is Interaction.SEARCH_COMPARTMENT:
        yield from (name for name in types if name in compartments())
    else:
        yield from types


def _of_path(route: Route, type_name: str) -> Iterator[Json]:
    """What all methods of a path have in common."""
    for name in ("id", "version", "member"):
        if f"{{{name}}}" in route.template:
            yield parameters.of_path(name, member_types(type_name))
    yield from map(parameters.reference, parameters.OF_ALL)


def _operation(route: Route, type_name: str, types: frozenset[str]) -> Json:
    described = DESCRIBED.get(route.interaction) or _own(route, type_name)
    made: Json = {
        "tags": [tag_of(type_name)],
        "operationId": operation_id(route, type_name),
        "summary": described.summary.replace("{type}", type_name),
        "description": described.text.replace("{type}", type_name),
    }
    if names := (*_query(route, described, type_name), *described.headers):
        made["parameters"] = [parameters.reference(name) for name in names]
    if body := bodies.of(route, described, type_name):
        made["requestBody"] = body
    made["responses"] = responses.of(route, described, type_name)
    if found := links.of(route, type_name, types):
        made["responses"]["201"]["links"] = found
    return made


def _own(route: Route, type_name: str) -> Described:
    """What one of this server's own operations is, from the table that reads its requests."""
    code = route.template.partition("$")[2]
    operation, own = OPERATIONS[f"{type_name}-{code}"], OWN[route.interaction]
    return Described(
        "",
        operation.title,
        operation.text + _listed(operation),
        own.answers,
        "Parameters",
        f"{own.sends}-{'order' if route.level == 'type' else ''}".rstrip("-") if own.sends else None,
        own.shows,
        own.headers,
        own.told,
    )


def _listed(operation: Operation) -> str:
    """The parameters of an operation, as a list for readers."""
    lines = [f"- `{p.name}` ({p.type or 'parts'}, {p.min}..{p.max}): {p.text}" for p in operation.inputs]
    return "\n\nParameters:\n\n" + "\n".join(lines) if lines else ""


def _query(route: Route, described: Described, type_name: str) -> Iterator[str]:
    """The components of the parameters in the URL. What a POST takes in its body is not told twice."""
    if route.interaction in _CRITERIA:
        yield from parameters.criteria(type_name)
    elif route.method == "GET":
        yield from _asked(route, type_name)
    if route.method == "GET" or route.interaction is Interaction.VALIDATE:
        yield from described.query


def _asked(route: Route, type_name: str) -> Iterator[str]:
    if route.interaction in SEARCHES:
        yield from parameters.of_search(type_name if route.interaction is Interaction.SEARCH_TYPE else "")
    elif route.interaction is Interaction.LASTN:
        yield from parameters.of_lastn()
    elif route.interaction is Interaction.EVERYTHING:
        yield from _OF_RECORDS[type_name]
    elif route.interaction is Interaction.CHECK_DUPLICATE:
        yield from ("window", "threshold")
