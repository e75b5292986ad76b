"""The $validate operation, on a type and on an instance. https://hl7.org/fhir/R4/resource-operation-validate.html"""

from __future__ import annotations

from typing import Any

from app.errors import Issue, Malformed
from app.fhir import outcomes
from app.fhir.json import dumps, loads
from app.fhir.types import FhirRequest, FhirResult
from app.fhir.validation import issues
from app.interactions.context import Context
from app.interactions.read import present
from app.store import resources

_MODES = frozenset({"create", "update", "delete", "profile"})


async def validate(context: Context, request: FhirRequest) -> FhirResult:
    """200 with what was found, also when that is errors. Malformed when there is nothing to validate."""
    parameters = _parameters(request)
    subject = parameters.get("resource")
    if request.id and subject is None:
        subject = await _stored(context, request)
    if subject is not None and not isinstance(subject, dict):
        raise Malformed("The body must be one FHIR resource.")
    if subject is None and parameters.get("mode") != "delete":
        raise Malformed("There is no resource to validate.")
    found = [*_refusals(parameters), *(issues(subject, request.type) if subject is not None else ())]
    outcome = outcomes.outcome(found) if found else outcomes.all_ok("The resource is valid.")
    return FhirResult(200, dumps(outcome))


async def _stored(context: Context, request: FhirRequest) -> Any:
    async with context.reading() as connection:
        stored = await resources.read(connection, request.type, request.id, context.visible)
    return loads(present(stored).json())


def _parameters(request: FhirRequest) -> dict[str, Any]:
    """Parameters from the URL and from a Parameters resource; another body is the resource itself."""
    found: dict[str, Any] = dict(request.query)
    if request.method != "POST" or not (request.raw or request.body):
        return found
    body = request.content()
    if not isinstance(body, dict) or body.get("resourceType") != "Parameters" or request.type == "Parameters":
        return found | {"resource": body}
    for parameter in body.get("parameter", ()) if isinstance(body.get("parameter"), list) else ():
        if isinstance(parameter, dict):
            values = [value for key, value in parameter.items() if key == "resource" or key.startswith("value")]
            found |= {str(parameter.get("name")): values[0]} if values else {}
    return found


def _refusals(parameters: dict[str, Any]) -> list[Issue]:
    """What was asked for beside R4 itself and cannot be done."""
    found = []
    if "profile" in parameters:
        found.append(Issue("not-supported", "This server validates against R4 only: it knows no profiles."))
    if parameters.get("mode", "create") not in _MODES:
        found.append(Issue("value", "The mode must be create, update, delete or profile."))
    return found
