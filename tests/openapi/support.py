"""Reading the document: its operations, and what it says of an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.fhir.openapi.paths import types_of
from app.fhir.routes import ROUTES, Route

METHODS = ("get", "put", "post", "patch", "delete")
Json = dict[str, Any]


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """Path, method and operation, one by one."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def resolved(document: Json, found: Json) -> Json:
    """What a reference leads to, or the thing itself."""
    if "$ref" not in found:
        return found
    _, *names = found["$ref"].split("/")
    for name in names:
        document = document[name]
    return document


def parameters(document: Json, path: str, operation: Json) -> list[Json]:
    given = [*document["paths"][path].get("parameters", ()), *operation.get("parameters", ())]
    return [resolved(document, each) for each in given]


def response(document: Json, path: str, method: str, status: int) -> Json | None:
    """What is documented of a status; None when nothing is."""
    found = document["paths"][path][method]["responses"].get(str(status))
    return resolved(document, found) if found else None


def described(types: tuple[str, ...]) -> Iterator[tuple[str, str, Route]]:
    """Path, method and route of everything that must be there for these types."""
    for route in ROUTES:
        for name in types_of(route, types):
            yield "/" + route.template.replace("{type}", name), route.method.lower(), route
