"""The delete interaction, by id and by criteria (one match at most). https://hl7.org/fhir/R4/http.html#delete"""

from __future__ import annotations

from app.fhir.types import FhirRequest
from app.interactions.context import Context
from app.interactions.criteria import read_criteria
from app.interactions.read import refuse_parameters
from app.interactions.writes import Write, expected


def prepare(_context: Context, request: FhirRequest) -> Write:
    refuse_parameters(request)
    expect, versions = expected(request)
    return Write(request, request.type, request.id, "DELETE", expect, versions, deletes=True)


def prepare_conditional(context: Context, request: FhirRequest) -> Write:
    expect, versions = expected(request)
    write = Write(request, request.type, "", "DELETE", expect, versions, deletes=True)
    write.criteria = read_criteria(context, request.type, request.query)
    return write
