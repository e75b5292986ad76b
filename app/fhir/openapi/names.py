"""The operationIds: stable and readable, for they become the names of functions in clients."""

from __future__ import annotations

from app.fhir.openapi.interactions import DESCRIBED
from app.fhir.routes import ROUTES, Route
from app.fhir.types import Interaction

_SUFFIXES = {"system": "OfSystem", "type": "OfType", "instance": ""}


def operation_id(route: Route, type_name: str) -> str:
    """`createPatient`, `searchTaskByPost`, `metaOfPatientVersion`: what it does, where, and how it is asked."""
    level = _SUFFIXES[route.level] if type_name and _has_levels(route) else ""
    version = "Version" if "{version}" in route.template and route.interaction is not Interaction.VREAD else ""
    posted = "ByPost" if route.method == "POST" and _is_also_got(route) else ""
    return f"{_name(route).replace('{type}', type_name or 'System')}{level}{version}{posted}"


def _name(route: Route) -> str:
    """That of the interaction; of this server's own operations their code: `checkDuplicateServiceRequest`."""
    if route.interaction in DESCRIBED:
        return DESCRIBED[route.interaction].name
    first, *others = route.template.partition("$")[2].split("-")
    return f"{first}{''.join(word.capitalize() for word in others)}{{type}}"


def _is_also_got(route: Route) -> bool:
    return any(
        other.method == "GET" and other.interaction is route.interaction and other.level == route.level
        for other in ROUTES
    )


def _has_levels(route: Route) -> bool:
    return len({other.level for other in ROUTES if other.interaction is route.interaction}) > 1
