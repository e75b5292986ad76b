"""`Task/{id}/$delivery`: every message about a Task, with every attempt to deliver it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from app.fhir.bundles import instant
from app.fhir.json import dumps
from app.fhir.own.operations import DELIVERY
from app.fhir.own.parameters import read_parameters
from app.fhir.types import FhirRequest, FhirResult, Json
from app.interactions.context import Context
from app.services.referrals import subject
from app.store.referrals import deliveries as store
from app.store.referrals.deliveries import Attempt, Delivery
from app.store.referrals.outbox import State


async def delivery(context: Context, request: FhirRequest) -> FhirResult:
    """200 with a Parameters resource. Raises NotFound and Gone."""
    read_parameters(request, DELIVERY).finish()
    async with context.reading() as connection:
        await subject.read(context, connection, request)
        return FhirResult(200, told(request.id, await store.of_task(connection, request.id)))


def told(task_id: str, found: Sequence[Delivery]) -> bytes:
    """The deliveries of a Task as Parameters."""
    parameters = [_reference("task", f"Task/{task_id}"), *({"name": "delivery", "part": _delivery(d)} for d in found)]
    return dumps({"resourceType": "Parameters", "parameter": parameters})


def _delivery(found: Delivery) -> list[Json]:
    waits = found.state is State.PENDING
    return _present(
        {"name": "message", "valueUri": found.message_id.urn},
        _code("kind", found.kind.value),
        _code("state", found.state.value),
        _endpoint(found.endpoint_id),
        _code("dialect", found.dialect),
        {"name": "urgent", "valueBoolean": found.urgent},
        {"name": "inDoubt", "valueBoolean": found.in_doubt or found.abandoned},
        {"name": "attempts", "valueInteger": found.attempts},
        _instant("created", found.created_at),
        _instant("nextTry", found.next_at if waits else None),
        _instant("giveUp", found.give_up_at if waits else None),
        _instant("settled", found.settled_at),
        {"name": "remote", "valueUrl": found.remote} if found.remote else None,
        _code("outcome", found.outcome),
        *({"name": "attempt", "part": _attempt(attempt)} for attempt in found.tried),
    )


def _attempt(attempt: Attempt) -> list[Json]:
    return _present(
        {"name": "number", "valueInteger": attempt.number},
        _instant("time", attempt.started_at),
        {"name": "milliseconds", "valueInteger": attempt.milliseconds},
        _endpoint(attempt.endpoint_id),
        _code("dialect", attempt.dialect),
        _code("outcome", attempt.outcome),
        {"name": "httpStatus", "valueInteger": attempt.http_status} if attempt.http_status is not None else None,
        {"name": "detail", "valueString": attempt.detail} if attempt.detail else None,
        _instant("nextTry", attempt.next_at),
    )


def _present(*parts: Json | None) -> list[Json]:
    return [part for part in parts if part is not None]


def _code(name: str, value: str | None) -> Json | None:
    return {"name": name, "valueCode": value} if value else None


def _instant(name: str, moment: datetime | None) -> Json | None:
    return {"name": name, "valueInstant": instant(moment)} if moment else None


def _endpoint(endpoint_id: str) -> Json | None:
    return _reference("endpoint", f"Endpoint/{endpoint_id}") if endpoint_id else None


def _reference(name: str, reference: str) -> Json:
    return {"name": name, "valueReference": {"reference": reference}}
