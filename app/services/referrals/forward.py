"""`Task/{id}/$forward`: a received referral is passed on, as an order of our own that is based on it.

SDOH Clinical Care calls it an indirect referral: a ServiceRequest with the intent filler-order, `basedOn` the received
one, and Tasks that are `partOf` the received Task.
"""

from __future__ import annotations

from dataclasses import replace

from app.errors import Conflict, Forbidden
from app.fhir.bundles import instant
from app.fhir.own.codes import SDOHCC, URI, Refusal, codes_of
from app.fhir.own.operations import FORWARD
from app.fhir.own.parameters import Value
from app.fhir.referrals.workflow import is_referral, modified, path, referral_key
from app.fhir.types import FhirRequest, FhirResult, Json
from app.interactions import commit, governance
from app.interactions.context import Context
from app.interactions.read import present
from app.services import stored
from app.services.actors import Side, organization_of, sides
from app.services.referrals import made, subject, wanted
from app.services.referrals.answering import Made, perform
from app.services.referrals.made import Act
from app.services.referrals.refer import is_strict, refer_order
from app.services.referrals.refusals import issue
from app.services.referrals.wanted import Wanted
from app.store import resources
from app.store.connections import Connection

_FORWARDABLE = frozenset({"requested", "received", "accepted", "in-progress"})
_UNANSWERED = frozenset({"requested", "received"})
_WORKING = "in-progress"

_COPIED = (
    "category",
    "priority",
    "code",
    "orderDetail",
    "quantityQuantity",
    "quantityRatio",
    "quantityRange",
    "occurrenceDateTime",
    "occurrencePeriod",
    "occurrenceTiming",
    "asNeededBoolean",
    "asNeededCodeableConcept",
    "performerType",
    "locationCode",
    "locationReference",
    "reasonCode",
    "reasonReference",
    "insurance",
    "supportingInfo",
    "specimen",
    "bodySite",
    "note",
    "patientInstruction",
)
"""What the order of our own asks for is what was asked of us."""


async def forward(context: Context, request: FhirRequest) -> FhirResult:
    """201 with the Tasks, like `$refer`."""
    asked = wanted.read(request, FORWARD)

    async def act(inner: Context, connection: Connection) -> Made:
        return await _forward(inner, connection, request, asked)

    return await perform(context, request, asked, act)


async def _forward(context: Context, connection: Connection, request: FhirRequest, asked: Wanted) -> Made:
    present(await resources.read(connection, request.type, request.id, context.visible))
    seen = await stored.read(context, connection, f"Task/{request.id}") or {"resourceType": "Task"}
    await governance.lock_keys(
        connection, {referral_key(seen), *await _keys_of_orders(context, connection, request.id)}
    )
    task = await subject.locked(context, connection, request)
    await _check(context, connection, task)
    received = await _received_order(context, connection, task)
    part_of = {"reference": f"Task/{task['id']}"}
    order = await _own_order(context, connection, task, received)
    asked, strict = _with_what_came(asked, task), is_strict(request)
    done = await refer_order(context, connection, order, asked, strict=strict, part_of=part_of)
    await _take_up(context, connection, task)
    return done


def _with_what_came(asked: Wanted, task: Json) -> Wanted:
    """What is asked for, with the due date and the content that came with the received Task."""
    came = [
        Value(each["valueReference"], f"Task.input[{number}]")
        for number, each in enumerate(task.get("input", ()))
        if "additional-content" in codes_of(each["type"], SDOHCC) and "valueReference" in each
    ]
    period = asked.period or task.get("restriction", {}).get("period")
    return replace(asked, period=period, inputs=(*asked.inputs, *came))


async def _keys_of_orders(context: Context, connection: Connection, task_id: str) -> set[str]:
    """The referrals by which a Task was passed on before."""
    children = await stored.find(context, connection, "Task", ("part-of", f"Task/{task_id}"))
    return {referral_key(child) for child in children}


async def _check(context: Context, connection: Connection, task: Json) -> None:
    base_url = context.server.base_url
    if not is_referral(task):
        raise Conflict(issues=[issue(base_url, Refusal.NOT_A_REFERRAL, "The Task is not a referral.", "Task.code")])
    if task["status"] not in _FORWARDABLE:
        text = f"Only a Task that is {', '.join(sorted(_FORWARDABLE))} can be passed on."
        raise Conflict(issues=[issue(base_url, Refusal.NOT_FORWARDABLE, text, "Task.status")])
    if Side.OWNER not in await sides(context, connection, task):
        raise Forbidden(issues=[issue(base_url, Refusal.NOT_OWNER, "Only the owner of a Task can pass it on.")])


async def _received_order(context: Context, connection: Connection, task: Json) -> Json:
    """What we were asked for: the order in the focus, or our copy of one on another server."""
    found = await stored.read(context, connection, task["focus"])
    if found is None:
        url = task["focus"]["reference"].partition("/_history/")[0]
        copies = await stored.find(context, connection, "ServiceRequest", ("identifier", f"{URI}|{_escaped(url)}"))
        found = copies[0] if copies else None
    if found is None:
        text = "The order of this Task is not here yet."
        refused = issue(context.server.base_url, Refusal.NOT_FORWARDABLE, text, "Task.focus")
        raise Conflict(issues=[refused])
    return found


def _escaped(text: str) -> str:
    return "".join(f"\\{c}" if c in "\\,|$" else c for c in text)


async def _own_order(context: Context, connection: Connection, task: Json, received: Json) -> Json:
    """The order by which this Task was passed on before, while that is active; otherwise a new one."""
    children = await stored.find(context, connection, "Task", ("part-of", f"Task/{task['id']}"))
    for child in reversed(children):
        order = await stored.read(context, connection, child.get("focus"))
        if order is not None and order["resourceType"] == "ServiceRequest" and order["status"] == "active":
            return order
    return await _new_order(context, connection, task, received)


async def _new_order(context: Context, connection: Connection, task: Json, received: Json) -> Json:
    client = next((each for each in (task.get("for"), received.get("subject")) if _is_here(context, each)), None)
    if client is None:
        text = "The client of this Task is not known here yet."
        refused = issue(context.server.base_url, Refusal.NOT_FORWARDABLE, text, "Task.for")
        raise Conflict(issues=[refused])
    requester = await _us(context, connection, task)
    order: Json = {
        "resourceType": "ServiceRequest",
        "id": context.new_id(),
        "identifier": [made.plain(made.placer(context.server.base_url))],
        "basedOn": [{"reference": f"ServiceRequest/{received['id']}"}],
        "requisition": received.get("requisition") or task.get("groupIdentifier"),
        "status": "active",
        "intent": "filler-order",
        **({"priority": task["priority"]} if "priority" in task else {}),
        **{name: received[name] for name in _COPIED if name in received},
        "subject": client,
        "authoredOn": instant(context.now),
        "requester": requester,
    }
    return {name: value for name, value in order.items() if value}


def _is_here(context: Context, reference: Json | None) -> bool:
    return stored.target_of(context, reference) is not None


async def _us(context: Context, connection: Connection, task: Json) -> Json | None:
    """The Organization that was asked and now asks others."""
    name = context.principal.organization or await organization_of(context, connection, task.get("owner"))
    return {"reference": name} if name else task.get("owner")


async def _take_up(context: Context, connection: Connection, task: Json) -> None:
    """Passing on is working on it: a Task that has not been answered is accepted and in progress from now on."""
    if task["status"] not in _UNANSWERED:
        return
    for status in path(task["status"], _WORKING) or ():
        current = await stored.lock(context, connection, "Task", task["id"]) or task
        changes = {"status": status, "lastModified": modified(current, context.now)}
        await commit.put(context, connection, [current | changes])
    act = Act([f"Task/{task['id']}"], "UPDATE")
    await commit.put(context, connection, [made.provenance(context, act)])
