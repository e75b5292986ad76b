"""Operations (https://hl7.org/fhir/R4/operations.html): what they are called, how they are asked, what they answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.errors import Malformed
from app.fhir.types import FhirRequest, Json

_R4 = "http://hl7.org/fhir/OperationDefinition"
_OWN = frozenset({"EpisodeOfCare-everything"})
_OF_ALL_TYPES = frozenset({"validate", "meta"})

Pairs = list[tuple[str, str]]


def definition_url(name: str, type_name: str, base_url: str) -> str:
    """The canonical URL of the definition of an operation: of R4, or of this server, where it can be read."""
    id_ = f"{'Resource' if name in _OF_ALL_TYPES else type_name}-{name}"
    return f"{base_url}/OperationDefinition/{id_}" if id_ in _OWN else f"{_R4}/{id_}"


def own_definition(type_name: str, id_: str, base_url: str) -> Json | None:
    """The OperationDefinition of that id, when it is one of this server's own."""
    if type_name != "OperationDefinition" or id_ not in _OWN:
        return None
    return {
        "resourceType": "OperationDefinition",
        "id": id_,
        "url": f"{base_url}/OperationDefinition/{id_}",
        "name": "EpisodeOfCareEverything",
        "title": "Everything of a case",
        "status": "active",
        "kind": "operation",
        "description": (
            "Returns a case as one searchset: the episode of care, its patient, team, care manager and organization, "
            "the referral requests, the encounters of the episode, everything else that refers to it (with the "
            "extension workflow-episodeOfCare or otherwise), what these refer to, and the Tasks that are about them. "
            "Another patient's record is never a part of it. Pages follow one another by their next links."
        ),
        "affectsState": False,
        "code": "everything",
        "resource": ["EpisodeOfCare"],
        "system": False,
        "type": False,
        "instance": True,
        "parameter": [
            _input("_since", "instant", "1", "Only resources that were updated at this time or later."),
            _input("_type", "code", "*", "Only resources of these types; several may be joined by commas."),
            _input("_count", "integer", "1", "How many resources a page may hold."),
            {"name": "return", "use": "out", "min": 1, "max": "1", "type": "Bundle"},
        ],
    }


def _input(name: str, kind: str, most: str, text: str) -> Json:
    return {"name": name, "use": "in", "min": 0, "max": most, "documentation": text, "type": kind}


# Parameters


def parameter_pairs(request: FhirRequest) -> Pairs:
    """The parameters of an operation that takes primitive values: those of the URL, then those of the body, if any.

    Raises Invalid, or Malformed when the body is no Parameters resource with such values.
    """
    pairs = list(request.query)
    if request.method == "POST" and (request.raw or request.body is not None):
        pairs += _of_body(request.content())
    return pairs


def _of_body(body: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(body, dict) or body.get("resourceType") != "Parameters":
        raise Malformed("The body must be a Parameters resource.")
    listed = body.get("parameter", [])
    if not isinstance(listed, list):
        raise Malformed("Parameters.parameter must be a list.")
    for parameter in listed:
        yield _pair(parameter)


def _pair(parameter: Any) -> tuple[str, str]:
    values = [value for name, value in parameter.items() if name.startswith("value")] if _is_named(parameter) else []
    if len(values) != 1 or isinstance(values[0], dict | list) or values[0] is None:
        raise Malformed("Each parameter of this operation needs a name and one primitive value.")
    (value,) = values
    return parameter["name"], str(value).lower() if isinstance(value, bool) else str(value)


def _is_named(parameter: Any) -> bool:
    return isinstance(parameter, dict) and isinstance(parameter.get("name"), str)
