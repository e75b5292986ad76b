"""The OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1.html) of the FHIR base."""

from __future__ import annotations

from collections.abc import Sequence

from app.fhir.definitions import resource_types
from app.fhir.openapi import bodies, parameters, responses, schemas
from app.fhir.openapi.examples import examples
from app.fhir.openapi.interactions import BUNDLE, CAPABILITIES, OUTCOME, PARAMETERS
from app.fhir.openapi.paths import paths
from app.fhir.openapi.tags import TAGS
from app.fhir.types import Json

_ALWAYS = (BUNDLE, CAPABILITIES, OUTCOME, PARAMETERS)

_TEXT = """\
CareLoop keeps clients, cases, plans, goals and referrals as FHIR R4 (4.0.1) resources, sends referrals to other \
organisations in the form that their systems accept, and shows what became of each.

Everything is FHIR JSON (`application/fhir+json`). Errors are OperationOutcome resources that name every problem, with \
its place. Where there is GET, there is HEAD. A required element of a primitive type may be absent if its sibling \
(`_status` of `status`) has an extension that says why.

This page describes the types of case management; `openapi.json?types=Medication,Device` describes any others of R4 in \
the same way."""


def document(types: Sequence[str], *, base_url: str, version: str) -> Json:
    """The description of these resource types and of the system."""
    described = tuple(dict.fromkeys((*types, *_ALWAYS)))
    found = examples(described) | responses.examples()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "CareLoop",
            "version": version,
            "summary": "A FHIR R4 server for case management that pushes referrals and proves that the loop closed",
            "description": _TEXT,
        },
        "servers": [{"url": base_url, "description": "The FHIR base"}],
        "tags": [{"name": name, "description": text} for name, (text, _) in TAGS.items()],
        "paths": paths(types),
        "components": {
            "schemas": {**schemas.components([*described, schemas.RESOURCE]), **bodies.SCHEMAS},
            "parameters": parameters.components(types),
            "headers": dict(responses.HEADERS),
            "responses": responses.components(),
            "examples": {name: {"value": value} for name, value in found.items()},
        },
    }


def known(types: str) -> tuple[str, ...] | None:
    """The types of `?types=A,B`, in order; None when one of them is no resource type of R4."""
    names = {name.strip() for name in types.split(",") if name.strip()}
    return tuple(sorted(names)) if names and names <= set(resource_types()) else None
