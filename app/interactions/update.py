"""The update interaction: by id, creating where there is nothing, and by criteria. https://hl7.org/fhir/R4/http.html#update"""

from __future__ import annotations

from app.errors import Issue, Malformed, Unprocessable
from app.fhir.subset import is_subsetted
from app.fhir.types import FhirRequest, Json
from app.fhir.validation import check
from app.interactions.context import Context
from app.interactions.criteria import read_criteria
from app.interactions.read import refuse_parameters
from app.interactions.writes import Write, expected, resource_of
from app.store.save_function import ABSENT


def prepare(_context: Context, request: FhirRequest) -> Write:
    refuse_parameters(request)
    resource = resource_of(request, request.type)
    if resource.get("id") != request.id:
        raise Malformed(
            issues=[Issue("invalid", "The id in the body must be the id in the URL.", f"{request.type}.id")]
        )
    return _write(request, resource, request.id)


def prepare_conditional(context: Context, request: FhirRequest) -> Write:
    resource = resource_of(request, request.type)
    write = _write(request, resource, "")
    write.criteria = read_criteria(context, request.type, request.query)
    return write


def _write(request: FhirRequest, resource: Json, id_: str) -> Write:
    _refuse_subsetted(resource)
    expect, versions = expected(request)
    if request.headers.get("if-none-match", "").strip() == "*":
        expect = ABSENT
    write = Write(request, request.type, id_, "PUT", expect, versions, resource)
    write.checked = check(resource, request.type)
    return write


def _refuse_subsetted(resource: Json) -> None:
    """A resource that a server has shortened must not replace the whole one. https://hl7.org/fhir/R4/search.html#summary"""
    meta = resource.get("meta")
    tags = meta.get("tag") if isinstance(meta, dict) else None
    for tag in tags if isinstance(tags, list) else ():
        if is_subsetted(tag):
            text = "A resource tagged SUBSETTED is not complete and cannot replace the whole one."
            raise Unprocessable(issues=[Issue("business-rule", text, f"{resource['resourceType']}.meta.tag")])
