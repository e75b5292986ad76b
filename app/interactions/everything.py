"""The $everything operation, of a patient and of a case.

https://hl7.org/fhir/R4/operation-patient-everything.html. A record is one search over many types, in the order in which
its resources were created: pages follow one another like those of any search, without duplicates and gaps.
"""

from __future__ import annotations

from dataclasses import replace

from app.fhir.operations import parameter_pairs
from app.fhir.search.records import read_everything
from app.fhir.types import FhirRequest, FhirResult
from app.interactions.context import Context
from app.interactions.read import present
from app.interactions.search import searchset
from app.store import resources


async def everything(context: Context, request: FhirRequest) -> FhirResult:
    """Raises NotFound or Gone when the centre of the record is not there; Malformed for unknown parameters."""
    pairs = parameter_pairs(request)
    query = read_everything(request.type, request.id, pairs, base_url=context.server.base_url)
    async with context.reading() as connection:
        present(await resources.read(connection, request.type, request.id, context.visible))
    if query.count is None:
        # Whoever wants small pages says so: R4 leaves it to the client whether there are pages at all.
        query = replace(query, count=context.server.max_count)
    return FhirResult(200, await searchset(context, query, f"{request.type}/{request.id}/$everything"))
