"""The parameters of operations that take primitive values (https://hl7.org/fhir/R4/operations.html)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.errors import Malformed
from app.fhir.types import FhirRequest

Pairs = list[tuple[str, str]]


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
