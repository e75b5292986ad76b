"""The create interaction, conditional create included. https://hl7.org/fhir/R4/http.html#create"""

from __future__ import annotations

from app.fhir.types import FhirRequest
from app.fhir.validation import check
from app.interactions.context import Context
from app.interactions.criteria import read_criteria
from app.interactions.read import refuse_parameters
from app.interactions.writes import Write, resource_of
from app.store.save_function import FRESH


def prepare(context: Context, request: FhirRequest) -> Write:
    refuse_parameters(request)
    resource = resource_of(request, request.type)
    write = Write(request, request.type, context.new_id(), "POST", FRESH, resource=resource)
    write.checked = check(resource, request.type)
    condition = request.headers.get("if-none-exist")
    if condition is not None:
        write.criteria = read_criteria(context, request.type, condition)
    return write
