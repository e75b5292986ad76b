"""The parameters of operations that take primitive values (https://hl7.org/fhir/R4/operations.html)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from app.errors import Malformed
from app.fhir.types import FhirRequest, Json
from app.fhir.validation import check

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
    check(body, "Parameters")
    for parameter in body.get("parameter", ()):
        yield _pair(parameter)


def _pair(parameter: Json) -> tuple[str, str]:
    values = [value for name, value in parameter.items() if name.startswith("value")]
    if len(values) != 1 or isinstance(values[0], dict | list):
        raise Malformed("Each parameter of this operation needs a name and one primitive value.")
    (value,) = values
    return parameter["name"], str(value).lower() if isinstance(value, bool) else str(value)
