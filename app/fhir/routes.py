"""The one table of what this server offers: HTTP, bundle entries, CapabilityStatement and documentation read it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

from app.errors import NotAllowed, NotFound, UnknownType
from app.fhir.definitions import is_resource_type
from app.fhir.references import is_valid_id
from app.fhir.search.compartments import EVERY_MEMBER, member_types
from app.fhir.types import Interaction


@dataclass(frozen=True, slots=True)
class Route:
    """`template` is relative to the base URL; `level` is `system`, `type` or `instance`. Where GET is, HEAD is too."""

    method: str
    template: str
    interaction: Interaction
    level: str


class Place(NamedTuple):
    """Where a path leads, with the names in it; blank is what it does not name."""

    route: Route
    type: str
    id: str
    version: str
    member: str


def _operation(template: str, interaction: Interaction, level: str) -> tuple[Route, Route]:
    """An operation that changes nothing can be asked with GET and with POST (R4 operations.html#executing)."""
    return Route("GET", template, interaction, level), Route("POST", template, interaction, level)


ROUTES = (
    Route("GET", "metadata", Interaction.CAPABILITIES, "system"),
    Route("POST", "", Interaction.BUNDLE, "system"),
    Route("GET", "", Interaction.SEARCH_SYSTEM, "system"),
    Route("POST", "_search", Interaction.SEARCH_SYSTEM, "system"),
    Route("GET", "_history", Interaction.HISTORY_SYSTEM, "system"),
    Route("GET", "{type}", Interaction.SEARCH_TYPE, "type"),
    Route("POST", "{type}/_search", Interaction.SEARCH_TYPE, "type"),
    Route("POST", "{type}", Interaction.CREATE, "type"),
    Route("PUT", "{type}", Interaction.CONDITIONAL_UPDATE, "type"),
    Route("PATCH", "{type}", Interaction.CONDITIONAL_PATCH, "type"),
    Route("DELETE", "{type}", Interaction.CONDITIONAL_DELETE, "type"),
    Route("GET", "{type}/_history", Interaction.HISTORY_TYPE, "type"),
    Route("POST", "{type}/$validate", Interaction.VALIDATE, "type"),
    Route("GET", "{type}/{id}", Interaction.READ, "instance"),
    Route("PUT", "{type}/{id}", Interaction.UPDATE, "instance"),
    Route("PATCH", "{type}/{id}", Interaction.PATCH, "instance"),
    Route("DELETE", "{type}/{id}", Interaction.DELETE, "instance"),
    Route("GET", "{type}/{id}/_history", Interaction.HISTORY_INSTANCE, "instance"),
    Route("GET", "{type}/{id}/_history/{version}", Interaction.VREAD, "instance"),
    Route("GET", "{type}/{id}/{member}", Interaction.SEARCH_COMPARTMENT, "instance"),
    Route("POST", "{type}/{id}/{member}/_search", Interaction.SEARCH_COMPARTMENT, "instance"),
    Route("GET", "{type}/{id}/$validate", Interaction.VALIDATE, "instance"),
    Route("POST", "{type}/{id}/$validate", Interaction.VALIDATE, "instance"),
    *_operation("Patient/{id}/$everything", Interaction.EVERYTHING, "instance"),
    *_operation("EpisodeOfCare/{id}/$everything", Interaction.EVERYTHING, "instance"),
    *_operation("$meta", Interaction.META, "system"),
    *_operation("{type}/$meta", Interaction.META, "type"),
    *_operation("{type}/{id}/$meta", Interaction.META, "instance"),
    *_operation("{type}/{id}/_history/{version}/$meta", Interaction.META, "instance"),
    *_operation("Observation/$lastn", Interaction.LASTN, "type"),
    Route("POST", "ServiceRequest/{id}/$refer", Interaction.REFER, "instance"),
    *_operation("ServiceRequest/{id}/$check-duplicate", Interaction.CHECK_DUPLICATE, "instance"),
    Route("POST", "ServiceRequest/$check-duplicate", Interaction.CHECK_DUPLICATE, "type"),
    *_operation("Task/{id}/$delivery", Interaction.DELIVERY, "instance"),
    Route("POST", "Task/{id}/$redeliver", Interaction.REDELIVER, "instance"),
    Route("POST", "Task/{id}/$forward", Interaction.FORWARD, "instance"),
    Route("POST", "Task/{id}/$resolve", Interaction.RESOLVE, "instance"),
)

Shape = tuple[str, ...]


def _shape(segments: list[str]) -> Shape:
    """The segments with a blank for every name: `["Patient", "1", "_history"]` has the shape `("", "", "_history")`."""
    return tuple(s if s[:1] in ("_", "$") or s == "metadata" else "" for s in segments)


def _by_shape() -> dict[Shape, dict[str, Route]]:
    table: dict[Shape, dict[str, Route]] = defaultdict(dict)
    for route in ROUTES:
        segments = ["" if s.startswith("{") else s for s in route.template.split("/")] if route.template else []
        table[tuple(segments)][route.method] = route
        if route.method == "GET":
            table[tuple(segments)]["HEAD"] = route
    return dict(table)


_TABLE = _by_shape()


def match(method: str, path: str) -> Place:
    """Where a path below the base URL leads.

    Raises NotFound, UnknownType or NotAllowed (with the `Allow` header).
    """
    segments = path.split("/") if path else []
    shape = _shape(segments)
    methods = _TABLE.get(shape) or _TABLE.get((*segments[:1], *shape[1:]))
    if methods is None:
        raise NotFound(_unknown(segments))
    names = [s for s in segments if not (s[:1] in ("_", "$") or s == "metadata")]
    names += [""] * (3 - len(names))
    _check_names(names[0], names[1])
    route = methods.get(method)
    if route is None:
        raise NotAllowed("This path does not take that method.", headers={"Allow": ", ".join(sorted(methods))})
    if route.interaction is not Interaction.SEARCH_COMPARTMENT:
        return Place(route, names[0], names[1], names[2], "")
    _check_compartment(*names)
    return Place(route, names[0], names[1], "", names[2])


def _unknown(segments: list[str]) -> str:
    operation = next((s for s in segments if s.startswith("$")), None)
    return "This server has no such operation here." if operation else "This server has nothing at that path."


def _check_names(type_name: str, id_: str) -> None:
    if type_name and not is_resource_type(type_name):
        raise UnknownType("R4 has no resource type of that name. Names are case sensitive.")
    if id_ and not is_valid_id(id_):
        raise NotFound("A resource id has 1 to 64 of the characters A-Z, a-z, 0-9, - and '.'.")


def _check_compartment(centre: str, id_: str, member: str) -> None:
    """R4 names the types that have a compartment, and those that may be in it."""
    members = member_types(centre)
    if not members or not id_:
        raise NotFound("This server has nothing at that path: R4 defines no compartment of that type.")
    if member != EVERY_MEMBER and member not in members:
        raise NotFound(f"This server has nothing at that path: that is no type of R4's compartment of {centre}.")
