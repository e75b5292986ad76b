"""What is sent: the body of each route, with an example."""

from __future__ import annotations

from collections.abc import Mapping

from app.fhir.openapi import parameters, schemas
from app.fhir.openapi.interactions import ANYTHING, PARAMETERS, PATCH, TYPE, Described
from app.fhir.routes import Route
from app.fhir.types import SEARCHES, Interaction, Json

FHIR_JSON = "application/fhir+json"
JSON_PATCH = "application/json-patch+json"
FORM = "application/x-www-form-urlencoded"

SCHEMAS: Mapping[str, Json] = {
    "JsonPatch": {
        "type": "array",
        "description": "A JSON Patch (RFC 6902).",
        "items": {
            "type": "object",
            "required": ["op", "path"],
            "properties": {
                "op": {"type": "string", "enum": ["add", "remove", "replace", "move", "copy", "test"]},
                "path": {"type": "string", "description": "A JSON Pointer (RFC 6901)."},
                "from": {"type": "string", "description": "A JSON Pointer, for `move` and `copy`."},
                "value": {"description": "Any JSON, for `add`, `replace` and `test`."},
            },
        },
    }
}
_OPTIONAL = frozenset(
    {
        Interaction.EVERYTHING,
        Interaction.META,
        Interaction.DELIVERY,
        Interaction.REDELIVER,
        Interaction.RESOLVE,
    }
)
_OF_WHAT_IS_STORED = frozenset({Interaction.VALIDATE, Interaction.CHECK_DUPLICATE})


def content(schema: Json, example: str) -> Json:
    """A media type with its example among the components."""
    return {"schema": schema, "examples": {example: {"$ref": f"#/components/examples/{example}"}}}


def of(route: Route, described: Described, type_name: str) -> Json | None:
    """The request body of a route; None where there is none."""
    if route.method in ("GET", "DELETE"):
        return None
    if route.interaction in SEARCHES:
        searched = type_name if route.interaction is Interaction.SEARCH_TYPE else ""
        schema = parameters.form(parameters.of_search(searched), (searched,) if searched else ())
        return {"content": {FORM: {"schema": schema}}}
    if described.body == PATCH:
        return {"required": True, "content": _patches()}
    made = {"content": {FHIR_JSON: _body(route, described, type_name)}}
    return made if _is_optional(route) else {"required": True, **made}


def _patches() -> Json:
    return {
        JSON_PATCH: content(schemas.ref("JsonPatch"), "json-patch"),
        FHIR_JSON: content(schemas.ref(PARAMETERS), "fhirpath-patch"),
    }


def _body(route: Route, described: Described, type_name: str) -> Json:
    if described.body == ANYTHING:
        return content({"type": "object", "description": "The resource.", "additionalProperties": True}, type_name)
    schema = type_name if described.body == TYPE else described.body or PARAMETERS
    if route.interaction is Interaction.CHECK_DUPLICATE and route.level == "type":
        either = {"oneOf": [schemas.ref(PARAMETERS), schemas.ref("ServiceRequest")]}
        return content(either, described.sends or schema)
    return content(schemas.ref(schema), described.sends or schema)


def _is_optional(route: Route) -> bool:
    """Whether the URL may say all that has to be said."""
    return route.interaction in _OPTIONAL or (route.level == "instance" and route.interaction in _OF_WHAT_IS_STORED)
