"""The $meta operation: profiles, tags and security labels. https://hl7.org/fhir/R4/resource-operation-meta.html"""

from __future__ import annotations

from app.errors import Issue, Malformed
from app.fhir.definitions import resource_types
from app.fhir.json import dumps, loads
from app.fhir.operations import parameter_pairs
from app.fhir.search.result_parameters import FORMATS
from app.fhir.types import FhirRequest, FhirResult, Json
from app.interactions.context import Context
from app.interactions.read import present, version_number
from app.store import resources
from app.store.connections import Connection
from app.store.resources import Stored
from app.store.search import labels

MOST_LABELS = 10_000


async def meta(context: Context, request: FhirRequest) -> FhirResult:
    """The meta of a resource or of one of its versions, or what is in use in a type or in the whole system."""
    if any(name not in FORMATS for name, _ in parameter_pairs(request)):
        raise Malformed("The operation $meta takes no parameters.")
    async with context.searching() as connection:
        if request.id:
            found = loads(present(await _stored(context, connection, request)).json())["meta"]
        else:
            found = await _in_use(context, connection, (request.type,) if request.type else resource_types())
    parameter = {"name": "return", "valueMeta": found} if found else {"name": "return"}
    return FhirResult(200, dumps({"resourceType": "Parameters", "parameter": [parameter]}))


async def _stored(context: Context, connection: Connection, request: FhirRequest) -> Stored | None:
    if not request.version:
        return await resources.read(connection, request.type, request.id, context.visible)
    version = version_number(request.version)
    return await resources.read_version(connection, request.type, request.id, version, context.visible)


async def _in_use(context: Context, connection: Connection, types: tuple[str, ...]) -> Json:
    """A Meta with all labels of resources that the caller may see. Raises Malformed when they are too many."""
    numbers, visible, limit = context.server.numbers, context.visible, MOST_LABELS + 1
    profiles = await labels.profiles(connection, numbers, types, visible, limit=limit)
    found: Json = {"profile": profiles} if profiles else {}
    for name, code in (("security", "_security"), ("tag", "_tag")):
        codings = await labels.codings(connection, numbers, types, code, visible, limit=limit)
        if codings:
            found[name] = [
                {"system": system, "code": value} if system else {"code": value} for system, value in codings
            ]
    if any(len(listed) > MOST_LABELS for listed in found.values()):
        raise Malformed(issues=[Issue("too-costly", f"More than {MOST_LABELS} labels are in use: ask for one type.")])
    return found
