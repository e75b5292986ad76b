"""The patch interaction: JSON Patch and FHIRPath Patch, by id and by criteria. https://hl7.org/fhir/R4/http.html#patch"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.errors import Issue, Unprocessable
from app.fhir.json import loads
from app.fhir.patch import fhirpath_patch as patch_fhirpath
from app.fhir.patch import json_patch as patch_json
from app.fhir.types import FhirRequest, Json
from app.fhir.validation import check
from app.interactions.context import Context
from app.interactions.criteria import read_criteria
from app.interactions.read import refuse_parameters
from app.interactions.writes import Write, expected
from app.store.resources import Stored

_KINDS: dict[str, Callable[[Json, Any], Json]] = {"json-patch": patch_json.apply, "fhirpath": patch_fhirpath.apply}
_NAMED: dict[str, Callable[[Any], frozenset[str] | None]] = {
    "json-patch": patch_json.named,
    "fhirpath": patch_fhirpath.named,
}


def prepare(_context: Context, request: FhirRequest) -> Write:
    refuse_parameters(request)
    expect, versions = expected(request)
    return Write(request, request.type, request.id, "PATCH", expect, versions)


def prepare_conditional(context: Context, request: FhirRequest) -> Write:
    expect, versions = expected(request)
    write = Write(request, request.type, "", "PATCH", expect, versions)
    write.criteria = read_criteria(context, request.type, request.query)
    return write


def apply(write: Write, current: Stored) -> None:
    """Make the patched resource of a locked one, and validate it."""
    before, content = loads(current.json()), write.request.content()
    after = _KINDS[write.request.patch](before, content)
    _refuse_identity_changes(before, after)
    write.resource, write.named = after, _NAMED[write.request.patch](content)
    write.checked = check(after, write.type)


def _refuse_identity_changes(before: Json, after: Json) -> None:
    meta = after.get("meta")
    version = meta.get("versionId") if isinstance(meta, dict) else None
    kept = {
        "resourceType": after.get("resourceType") == before["resourceType"],
        "id": after.get("id") == before["id"],
        "meta.versionId": version in (None, before["meta"]["versionId"]),
    }
    issues = [Issue("business-rule", f"A patch cannot change {name}.", name) for name, same in kept.items() if not same]
    if issues:
        raise Unprocessable(issues=issues)
