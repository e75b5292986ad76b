"""The CapabilityStatement (R4 capabilitystatement.html), made from the tables that also drive requests and searches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from app.fhir.definitions import compartments, resource_types
from app.fhir.own.definitions import definition_url, parameter_url
from app.fhir.routes import Route
from app.fhir.search.parameters import Kind, SearchParameter
from app.fhir.types import Interaction, Json

ParametersOf = Callable[[str], Mapping[str, SearchParameter]]

_DEFINITIONS = "http://hl7.org/fhir"
# R4 counts these among the interactions of a type, and those of the system; the others it tells by flags.
_OF_TYPES = (
    Interaction.READ,
    Interaction.VREAD,
    Interaction.UPDATE,
    Interaction.PATCH,
    Interaction.DELETE,
    Interaction.HISTORY_INSTANCE,
    Interaction.HISTORY_TYPE,
    Interaction.CREATE,
    Interaction.SEARCH_TYPE,
)
_OF_SYSTEM = {
    Interaction.BUNDLE.value: ("transaction", "batch"),
    Interaction.HISTORY_SYSTEM.value: ("history-system",),
    Interaction.SEARCH_SYSTEM.value: ("search-system",),
}
# What each interaction says about a type beyond its own mention.
_FLAGS: dict[Interaction, Json] = {
    Interaction.READ: {"conditionalRead": "full-support"},
    Interaction.VREAD: {"readHistory": True},
    Interaction.CREATE: {"conditionalCreate": True},
    Interaction.UPDATE: {"updateCreate": True},
    Interaction.CONDITIONAL_UPDATE: {"conditionalUpdate": True},
    Interaction.CONDITIONAL_DELETE: {"conditionalDelete": "single"},
}
_ABSENT: Json = {
    "readHistory": False,
    "updateCreate": False,
    "conditionalCreate": False,
    "conditionalRead": "not-supported",
    "conditionalUpdate": False,
    "conditionalDelete": "not-supported",
}
_SECURITY = "There is no authentication: everyone who reaches this server may read and write everything."
_SEARCHES = (
    "An unknown search parameter is refused, unless the request says `Prefer: handling=lenient`. "
    "Conditional interactions always refuse it, and any parameter without a value. "
    "`_list` finds every entry of a List, also those marked as deleted."
)


def capability_statement(
    routes: Sequence[Route],
    parameters_of: ParametersOf,
    *,
    base_url: str,
    version: str,
    date: str,
    referential_integrity: bool,
    security: str = _SECURITY,
) -> Json:
    """What this server offers now. `date` is a FHIR dateTime: when that last changed."""
    return {
        "resourceType": "CapabilityStatement",
        "url": f"{base_url}/metadata",
        "version": version,
        "name": "CareLoop",
        "title": "CareLoop FHIR server",
        "status": "active",
        "date": date,
        "kind": "instance",
        "software": {"name": "CareLoop", "version": version},
        "implementation": {"description": "CareLoop, a FHIR server for case management", "url": base_url},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": ["application/json-patch+json", "application/fhir+json"],
        "rest": [_rest(routes, parameters_of, base_url, referential_integrity, security)],
    }


def _rest(
    routes: Sequence[Route], parameters_of: ParametersOf, base_url: str, referential_integrity: bool, security: str
) -> Json:
    policy = ["literal", "logical", *(["enforced"] if referential_integrity else [])]
    rest: Json = {
        "mode": "server",
        "documentation": _SEARCHES,
        "security": {"description": security},
        "resource": [_resource(name, routes, parameters_of(name), base_url, policy) for name in resource_types()],
    }
    found = dict.fromkeys(code for route in routes for code in _OF_SYSTEM.get(route.interaction.value, ()))
    return rest | _filled(
        interaction=[{"code": code} for code in found],
        operation=_operations(routes, "", base_url),
        searchParam=_of_all_types(parameters_of, base_url) if "search-system" in found else [],
        compartment=_compartments(routes),
    )


def _of_all_types(parameters_of: ParametersOf, base_url: str) -> list[Json]:
    """The parameters that every type has, for searches of the whole system."""
    shared = (parameters_of(name) for name in resource_types())
    first, *others = ({code: p for code, p in each.items() if p.supported} for each in shared)
    return [_search_parameter(p, base_url) for code, p in first.items() if all(code in other for other in others)]


def _compartments(routes: Sequence[Route]) -> list[str]:
    if all(route.interaction is not Interaction.SEARCH_COMPARTMENT for route in routes):
        return []
    return [f"{_DEFINITIONS}/CompartmentDefinition/{name.lower()}" for name in compartments()]


def _resource(
    type_name: str, routes: Sequence[Route], parameters: Mapping[str, SearchParameter], base_url: str, policy: list[str]
) -> Json:
    own = [route for route in routes if _type_of(route) in ("{type}", type_name)]
    offered = {route.interaction for route in own}
    flags = dict(_ABSENT)
    for interaction in offered:
        flags |= _FLAGS.get(interaction, {})
    return {
        "type": type_name,
        "profile": f"{_DEFINITIONS}/StructureDefinition/{type_name}",
        **_filled(interaction=[{"code": code.value} for code in _OF_TYPES if code in offered]),
        "versioning": "versioned",
        **flags,
        "referencePolicy": list(policy),
        **_filled(
            searchInclude=["*", *(f"{type_name}:{p.code}" for p in parameters.values() if p.kind is Kind.REFERENCE)],
            searchRevInclude=["*"],
            searchParam=[_search_parameter(p, base_url) for p in parameters.values() if p.supported],
            operation=_operations(own, type_name, base_url),
        ),
    }


def _type_of(route: Route) -> str:
    """The first segment where it is a type: `{type}`, or the name of one. Blank for routes of the system."""
    first = route.template.partition("/")[0]
    return first if route.level in ("type", "instance") else ""


def _search_parameter(parameter: SearchParameter, base_url: str) -> Json:
    kind = parameter.stated or parameter.kind
    return {"name": parameter.code, "definition": parameter_url(parameter, base_url), "type": kind.value}


def _operations(routes: Iterable[Route], type_name: str, base_url: str) -> list[Json]:
    """The operations among routes, each once. Blank is the system as a whole."""
    own = (route for route in routes if bool(_type_of(route)) == bool(type_name))
    names = dict.fromkeys(route.template.partition("$")[2] for route in own if "$" in route.template)
    return [{"name": name, "definition": definition_url(name, type_name, base_url)} for name in names]


def _filled(**lists: list[Any]) -> Json:
    """FHIR has no empty lists."""
    return {name: found for name, found in lists.items() if found}
