"""`Task/{id}/$resolve`: a person decides about what came from elsewhere and could not be taken as it was."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from app.errors import Conflict as Refused
from app.errors import Forbidden, Unprocessable
from app.fhir.bundles import instant
from app.fhir.json import dumps
from app.fhir.own import codes
from app.fhir.own.codes import Refusal, TaskCode
from app.fhir.own.operations import RESOLVE
from app.fhir.own.parameters import Given, read_parameters
from app.fhir.references import Target
from app.fhir.referrals import workflow
from app.fhir.types import FhirRequest, FhirResult, Json
from app.interactions import commit, governance
from app.interactions.context import Context
from app.interactions.read import refuse_parameters
from app.services import actors, stored
from app.services.inbound import answers, copies
from app.services.inbound.foreign import relink, url_identifier
from app.services.inbound.outputs import Disagreement
from app.services.inbound.received import relinked, stop_waiting
from app.services.inbound.sources import foreign_urls, order_fetch
from app.services.referrals import subject
from app.services.referrals.refusals import issue
from app.store.connections import Connection
from app.store.referrals import conflicts
from app.store.referrals.conflicts import Conflict, Kind

_OVER = frozenset({"revoked", "completed", "entered-in-error"})
_IDENTIFIER = ("use", "type", "system", "value", "period")


async def resolve(context: Context, request: FhirRequest) -> FhirResult:
    """200 with what still waits. Raises what the table of `docs/referrals.md` says."""
    given = _checked(read_parameters(request, RESOLVE))
    refuse_parameters(request)
    async with context.writing() as connection:
        inner = replace(context, connection=connection)
        seen = await subject.read(inner, connection, request)
        await governance.lock_keys(connection, {workflow.referral_key(seen)})
        decision = _Decision(inner, connection, await subject.locked(inner, connection, request), given)
        await decision.take()
        return FhirResult(200, _told(request.id, await conflicts.unresolved(connection, request.id)))


def _checked(given: Given) -> Given:
    """Raises Malformed unless the parameters go together."""
    for name, other in (("conflict", "action"), ("action", "conflict"), ("copyIdentifiers", "patient")):
        if given.all(name) and not given.all(other):
            given.refuse(f"The parameter {name!r} goes with {other!r}.", name)
    if given.all("patient") and given.all("conflict"):
        given.refuse("One decision at a time: a patient, or a conflict.", "conflict")
    return given.finish()


class _Decision:
    """What a person decided about one Task, which is locked."""

    def __init__(self, context: Context, connection: Connection, task: Json, given: Given) -> None:
        self._context = context
        self._connection = connection
        self._task = task
        self._given = given
        self._base_url = context.server.base_url

    async def take(self) -> None:
        if not await actors.sides(self._context, self._connection, self._task):
            text = "Only the requester and the owner of the Task may decide this."
            raise Forbidden(issues=[issue(self._base_url, Refusal.WRONG_ACTOR, text)])
        waiting = await conflicts.unresolved(self._connection, self._task["id"])
        if self._given.all("patient"):
            await self._link(waiting)
        elif self._given.all("conflict"):
            await self._settle(waiting)

    async def _attest(self, targets: Sequence[str], source: str | None = None) -> None:
        organization = self._context.principal.organization
        agent = copies.agent_of("verifier", {"reference": organization} if organization else None, "An operator")
        reason = self._given.value("reason")
        await copies.attest(self._context, self._connection, targets, agent=agent, source=source or None, reason=reason)

    def _refused(self, refusal: Refusal, text: str) -> Refused:
        return Refused(issues=[issue(self._base_url, refusal, text)])

    # The patient

    async def _link(self, waiting: Sequence[Conflict]) -> None:
        """Let the Task, its order and what was fetched with them be about a patient of ours."""
        found = [conflict for conflict in waiting if conflict.kind is Kind.UNMATCHED_PATIENT]
        if not found:
            raise self._refused(Refusal.NOTHING_TO_RESOLVE, "No patient of this Task waits to be matched.")
        conflict = found[-1]
        patient = await self._patient()
        reference = f"Patient/{patient['id']}"
        await self._check_order(reference)
        known = {conflict.remote: reference}
        base = conflict.remote.rsplit("/", 2)[0]
        changed = await relinked(self._context, self._connection, self._task, known, base)
        relink(self._task, known)
        if stored.target_of(self._context, self._task.get("for")) != Target("Patient", patient["id"]):
            self._task["for"] = {"reference": reference, "identifier": url_identifier(conflict.remote)}
        stop_waiting(self._task, self._base_url)
        if self._given.value("copyIdentifiers"):
            changed.append(_identified(patient, conflict))
        self._task["lastModified"] = workflow.modified(self._task, self._context.now)
        await commit.put(self._context.as_system(self._connection), self._connection, [*changed, self._task])
        await conflicts.resolve(self._connection, [one.id for one in found], self._context.now)
        about = [f"Task/{self._task['id']}", reference, *(f"{one['resourceType']}/{one['id']}" for one in changed)]
        await self._attest(list(dict.fromkeys(about)), conflict.remote)

    async def _check_order(self, reference: str) -> None:
        """An order that is a patient's here already, by another Task, does not become somebody else's by this one."""
        order = await stored.read(self._context, self._connection, self._task.get("focus"))
        about = stored.target_of(self._context, (order or {}).get("subject"))
        if about is not None and f"{about.type}/{about.id}" != reference:
            raise self._refused(Refusal.NOT_APPLICABLE, "The order is for another patient of this server.")

    async def _patient(self) -> Json:
        given = self._given.first("patient")
        target = stored.target_of(self._context, given.value if given else None)
        patient = None
        if target is not None:
            patient = await stored.lock(self._context, self._connection, target.type, target.id)
        if patient is None:
            text = "There is no such Patient on this server."
            place = given.place if given else None
            raise Unprocessable(issues=[issue(self._base_url, Refusal.REFERENCE_NOT_FOUND, text, place)])
        return patient

    # Conflicts

    async def _settle(self, waiting: Sequence[Conflict]) -> None:
        chosen = next((one for one in waiting if str(one.id) == self._given.value("conflict")), None)
        if chosen is None:
            raise self._refused(Refusal.NOTHING_TO_RESOLVE, "No such conflict of this Task waits for a decision.")
        if self._given.value("action") == "apply":
            await _APPLIED[chosen.kind](self, chosen)
        else:
            await conflicts.resolve(self._connection, [chosen.id], self._context.now)
        await self._attest([f"Task/{self._task['id']}"], chosen.remote)
        if len(waiting) == 1:
            await self._close_work_item()

    async def _apply_answer(self, conflict: Conflict) -> None:
        """Take the recipient's word against the rules. An order that is over is not opened again by that."""
        order = await stored.read(self._context, self._connection, self._task.get("focus"))
        if conflict.body is None or (order or {}).get("status") in _OVER:
            raise self._refused(Refusal.NOT_APPLICABLE, "The order is over, or nothing came that could be applied.")
        try:
            await answers.apply(
                self._context,
                self._connection,
                self._task["id"],
                conflict.body,
                source=conflict.remote,
                endpoint_id=conflict.endpoint_id,
                forced=True,
            )
        except Disagreement as problem:
            text = f"The answer cannot be applied: {problem.code}."
            raise self._refused(Refusal.NOT_APPLICABLE, text) from problem
        await conflicts.resolve(self._connection, [conflict.id], self._context.now)

    async def _fetch_again(self, conflict: Conflict) -> None:
        """The answer to who the patient is comes with what is fetched: until then that conflict stays."""
        foreign = foreign_urls(self._task, self._base_url)
        if not foreign and conflict.kind is Kind.UNMATCHED_PATIENT:
            text = "Nothing of the Task is left to fetch: say who the patient is."
            raise self._refused(Refusal.NOT_APPLICABLE, text)
        if foreign and not await order_fetch(self._context, self._connection, self._task, foreign):
            text = "No active Endpoint of this server has an address above what the Task refers to."
            raise self._refused(Refusal.NOT_APPLICABLE, text)
        if not foreign or conflict.kind is Kind.UNKNOWN_SOURCE:
            await conflicts.resolve(self._connection, [conflict.id], self._context.now)

    async def _refuse(self, _: Conflict) -> None:
        raise self._refused(Refusal.NOT_APPLICABLE, "There is no referral that this answer could be applied to.")

    async def _close_work_item(self) -> None:
        """A Task that exists only because of a conflict is done with it."""
        kind = codes.codes_of(self._task.get("code"), codes.system(self._base_url, TaskCode))
        if TaskCode.UNMATCHED_ANSWER in kind:
            modified = workflow.modified(self._task, self._context.now)
            done = self._task | {"status": "completed", "lastModified": modified}
            await commit.put(self._context.as_system(self._connection), self._connection, [done])


_APPLIED: Mapping[Kind, Callable[[_Decision, Conflict], Awaitable[None]]] = {
    Kind.ILLEGAL: _Decision._apply_answer,
    Kind.UNMATCHED: _Decision._refuse,
    Kind.UNMATCHED_PATIENT: _Decision._fetch_again,
    Kind.UNKNOWN_SOURCE: _Decision._fetch_again,
}


def _identified(patient: Json, conflict: Conflict) -> Json:
    """The patient with the identifiers that the sender has, its URL there included."""
    theirs = [
        {name: one[name] for name in _IDENTIFIER if name in one}
        for one in (conflict.body or {}).get("identifier", ())
        if one.get("system") and one.get("value")
    ]
    known = {(one.get("system"), one.get("value")) for one in patient.get("identifier", ())}
    new = [one for one in (*theirs, url_identifier(conflict.remote)) if (one["system"], one["value"]) not in known]
    return patient | ({"identifier": [*patient.get("identifier", ()), *new]} if new else {})


def _told(task_id: str, waiting: Sequence[Conflict]) -> bytes:
    parameters: list[Json] = [{"name": "task", "valueReference": {"reference": f"Task/{task_id}"}}]
    parameters += [{"name": "conflict", "part": list(_parts(conflict))} for conflict in waiting]
    return dumps({"resourceType": "Parameters", "parameter": parameters})


def _parts(conflict: Conflict) -> Iterator[Json]:
    yield {"name": "id", "valueString": str(conflict.id)}
    yield {"name": "kind", "valueCode": conflict.kind.value}
    if conflict.code:
        yield {"name": "code", "valueCode": conflict.code}
    if conflict.remote:
        yield {"name": "remote", "valueUrl": conflict.remote}
    if conflict.at is not None:
        yield {"name": "at", "valueInstant": instant(conflict.at)}
    if conflict.body is not None:
        yield {"name": "content", "resource": conflict.body}
