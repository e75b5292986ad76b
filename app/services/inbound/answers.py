"""What a recipient's copy of a Task that we placed says is applied to ours.

It moves as its owner may move it, step by step, so that every rule and effect of the workflow sees what it expects. An
answer that cannot be taken is kept as a conflict and shown on the work-list; the same one is kept once.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

from app.errors import Conflict as Refused
from app.errors import Forbidden, Invalid, PreconditionFailed, Problem, Unprocessable
from app.fhir.bundles import instant
from app.fhir.json import dumps, loads
from app.fhir.own import codes
from app.fhir.own.codes import TaskCode
from app.fhir.references import local
from app.fhir.referrals import workflow
from app.fhir.types import Json
from app.fhir.validation import check
from app.interactions import commit, governance
from app.interactions.context import Context
from app.services import actors, stored
from app.services.inbound import copies, outputs
from app.services.inbound.foreign import View, absolute, seen, subject_name, url_identifier
from app.services.inbound.merging import differs, merged
from app.services.inbound.outputs import Disagreement
from app.services.inbound.told import meant
from app.store.connections import Connection
from app.store.referrals import conflicts
from app.store.referrals.conflicts import Conflict, Kind
from app.store.referrals.polls import savepoint

APPLIED, UNCHANGED, CONFLICT = "applied", "unchanged", "conflict"

_ILLEGAL_STATUS, _INVALID = "illegal-status", "invalid-content"
_PARTIES = ("focus", "for", "owner", "requester")
_NOTHING: Mapping[str, Json] = {}
_REFUSALS = (Invalid, Forbidden, Refused, PreconditionFailed, Unprocessable)
# The requester may have closed it before the recipient ever saw it: then what was seen before is no news, and that
# nobody works on it, which is what we asked for.
_CLOSED_BY_ANYBODY = frozenset({"cancelled", "entered-in-error"})
_AT_REST = frozenset({"draft", "requested", "received", "rejected", "cancelled", "failed"})


async def apply(
    context: Context,
    connection: Connection,
    task_id: str,
    remote_task: Json,
    *,
    source: str,
    endpoint_id: str,
    fetched: Mapping[str, Json] = _NOTHING,
    forced: bool = False,
) -> str:
    """Apply one answer within an open transaction; returns APPLIED, UNCHANGED or CONFLICT.

    `source` is the URL of the remote Task, `fetched` the resources that its outputs name, by URL (`outputs.wanted`).
    `forced` is a person's decision to take what the rules do not allow: then Disagreement is raised where even that
    does not help, instead of keeping a conflict.
    """
    ours = await _locked(context, connection, task_id)
    if ours is None:
        await keep_unmatched(context, connection, remote_task, source=source, endpoint_id=endpoint_id)
        return CONFLICT
    answer = _Answer(context, connection, ours, source, fetched, forced)
    try:
        async with savepoint(connection):
            return await answer.take(remote_task)
    except Disagreement as disagreement:
        if forced:
            raise
        code = disagreement.code
    except _REFUSALS as problem:
        if forced:
            raise
        code = _code(problem)
    conflict = Conflict(Kind.ILLEGAL, code, task_id, endpoint_id, source, version_of(remote_task), remote_task)
    await conflicts.keep(connection, conflict, context.now)
    return CONFLICT


def _code(problem: Problem) -> str:
    """What a rule calls it; all else means that what came cannot be stored."""
    return next((issue.details[1] for issue in problem.issues if issue.details), _INVALID)


async def keep_unmatched(
    context: Context, connection: Connection, remote: Json, *, source: str, endpoint_id: str, code: str = "unknown-task"
) -> bool:
    """Keep an answer to nothing that we know, on a work item of its own; returns whether it is new."""
    id_ = f"unmatched-{blake2b(f'{endpoint_id} {source}'.encode(), digest_size=16).hexdigest()}"
    conflict = Conflict(Kind.UNMATCHED, code, id_, endpoint_id, source, version_of(remote), remote)
    kept = await conflicts.keep(connection, conflict, context.now)
    if kept:
        await commit.put(context.as_system(connection), connection, [_work_item(context, id_, endpoint_id)])
    return kept


def _work_item(context: Context, id_: str, endpoint_id: str) -> Json:
    return {
        "resourceType": "Task",
        "id": id_,
        "status": "requested",
        "intent": "order",
        "code": codes.concept(context.server.base_url, TaskCode.UNMATCHED_ANSWER),
        "description": "An answer came for a referral that this server does not know, or did not send there.",
        "focus": {"reference": f"Endpoint/{endpoint_id}"},
        "authoredOn": instant(context.now),
        "lastModified": instant(context.now),
    }


def version_of(remote: Json) -> str:
    """What tells one answer from the next: the version there, or the time, or the content itself."""
    meta = remote.get("meta")
    for name in ("versionId", "lastUpdated"):
        if isinstance(meta, dict) and isinstance(meta.get(name), str):
            return str(meta[name])[:64]
    return blake2b(dumps(remote), digest_size=16).hexdigest()


async def _locked(context: Context, connection: Connection, task_id: str) -> Json | None:
    """Our Task, which nobody else changes from here on, nor anything of its referral."""
    found = await stored.read(context, connection, f"Task/{task_id}")
    if found is not None:
        await governance.lock_keys(connection, {workflow.referral_key(found)})
        found = await stored.lock(context, connection, "Task", task_id)
    return found


class _Answer:
    """One answer on its way into our Task."""

    def __init__(
        self,
        context: Context,
        connection: Connection,
        ours: Json,
        source: str,
        fetched: Mapping[str, Json],
        forced: bool,
    ) -> None:
        self._context = context.as_system(connection)
        self._actor = self._context if forced else actors.as_recipient(context, connection)
        self._connection = connection
        self._ours = ours
        self._source = source
        self._base = source.rsplit("/", 2)[0]
        self._base_url = context.server.base_url
        self._fetched = fetched
        self._forced = forced

    async def take(self, remote: Json) -> str:
        """Raises Disagreement, and what any write raises; then nothing may stay."""
        told: Json = loads(dumps(remote))
        check(told, "Task")
        steps = await self._steps(told)
        if steps is None:
            return UNCHANGED
        wanted = outputs.to_copy(
            self._ours,
            told,
            self._fetched,
            source=self._source,
            base=self._base,
            base_url=self._base_url,
            forced=self._forced,
        )
        if await copies.subjects(self._context, self._connection, wanted) - {outputs.patient(self._ours)}:
            raise Disagreement(outputs.OF_ANOTHER)
        view = self._view(told, await self._own_results(told))
        made = await copies.store(self._context, self._connection, wanted, view, self._ours.get("for"))
        self._rewrite(told, View(view.base, view.base_url, {**view.known, **made}, view.shared))
        if not steps and not differs(self._ours, self._merged(self._ours, told)):
            await self._overtake()
            return UNCHANGED
        await self._store(steps, told)
        await self._attest(list(made.values()))
        await self._overtake()
        return APPLIED

    async def _steps(self, told: Json) -> tuple[str, ...] | None:
        """The statuses that ours goes through; None when what is told is no news at all. Raises Disagreement."""
        current = self._ours["status"]
        if not workflow.is_referral(self._ours):
            return _simple_steps(current, str(told["status"]))
        wanted = meant(told)
        if not wanted or current in wanted:
            return () if workflow.is_open(current) or current in wanted else None
        for status in wanted:
            if (way := workflow.path(current, status)) is not None:
                return way
        if any([await self._is_passed(status) for status in wanted]):
            return None
        if self._forced:
            return wanted[:1]
        raise Disagreement(_ILLEGAL_STATUS)

    async def _is_passed(self, status: str) -> bool:
        current = self._ours["status"]
        if not workflow.is_passed(current, status):
            return False
        if current not in _CLOSED_BY_ANYBODY or status in _AT_REST:
            return True
        versions = await stored.versions(self._context, self._connection, "Task", self._ours["id"])
        return any(version["status"] == status for version in versions)

    async def _own_results(self, told: Json) -> set[str]:
        """Outputs that stand on this server, because the recipient wrote them here. Raises Disagreement."""
        found = set()
        for result in outputs.results(told, self._source, self._base):
            target = local(result.url, self._base_url)
            if target is None:
                continue
            reference = f"{target.type}/{target.id}"
            resource = await stored.read(self._context, self._connection, reference)
            name = subject_name(target.type)
            subject = (resource or {}).get(name or "", {}).get("reference")
            if target.type not in outputs.COPIED or subject != self._ours.get("for", {}).get("reference"):
                raise Disagreement(outputs.OF_ANOTHER if resource else outputs.UNAVAILABLE)
            found.add(reference)
        return found

    def _view(self, told: Json, own_results: set[str]) -> View:
        """Who is who: the parties of the recipient's Task are those of ours, and it knows what our Task refers to."""
        known = outputs.known_results(self._ours)
        if (counterpart := self._counterpart()) is not None:
            known[self._source] = counterpart
        for name in _PARTIES:
            there, here = told.get(name, {}).get("reference"), self._ours.get(name, {}).get("reference")
            url = absolute(there, self._base) if there else ""
            if url and here and local(url, self._base_url) is None and local(here, self._base_url) is not None:
                known.setdefault(url, here)
        shared = {f"Task/{self._ours['id']}"} | own_results
        for reference in check(loads(dumps(self._ours)), "Task").references:
            if (target := local(reference["reference"], self._base_url)) is not None:
                shared.add(f"{target.type}/{target.id}")
        return View(self._base, self._base_url, known, frozenset(shared))

    def _counterpart(self) -> str | None:
        """What the answer itself is here: a Task our Task, an order that we posted our order."""
        kind = self._source.rsplit("/", 2)[1]
        if kind == "Task":
            return f"Task/{self._ours['id']}"
        order = str(self._ours.get("focus", {}).get("reference", ""))
        return order if order.startswith(f"{kind}/") else None

    def _rewrite(self, told: Json, view: View) -> None:
        """References of the Task as seen from here; contained results have become resources of their own."""
        for result in list(outputs.results(told, self._source, self._base)):
            result.reference["reference"] = result.url
            if local(result.url, self._base_url) is None:
                result.reference["identifier"] = url_identifier(result.url)
            if result.contained is not None:
                told["contained"].remove(result.contained)
        if not told.get("contained", True):
            del told["contained"]
        seen(told, view)

    def _merged(self, ours: Json, told: Json, status: str | None = None) -> Json:
        found = merged(ours, told, status or ours["status"], self._base_url)
        if self._lacks_output(found):
            raise Disagreement(outputs.MISSING)
        return found

    def _lacks_output(self, task: Json) -> bool:
        missing = task["status"] == "completed" and not task.get("output")
        return missing and workflow.is_referral(task) and not self._forced

    async def _store(self, steps: tuple[str, ...], told: Json) -> None:
        """One version for each step. What follows from one may change the Task, so the next begins from that."""
        current = self._ours
        for status in steps[:-1]:
            await self._put(current | {"status": status})
            current = await self._current()
        await self._put(self._merged(current, told, steps[-1] if steps else None))

    async def _put(self, task: Json) -> None:
        modified = workflow.modified(task, self._context.now)
        await commit.put(self._actor, self._connection, [task | {"lastModified": modified}])

    async def _current(self) -> Json:
        found = await stored.lock(self._context, self._connection, "Task", self._ours["id"])
        if found is None:
            raise Disagreement(_ILLEGAL_STATUS)
        return found

    async def _attest(self, made: list[str]) -> None:
        agent = copies.agent_of("transmitter", self._ours.get("owner"), "The recipient of the referral")
        targets = [f"Task/{self._ours['id']}", *made]
        await copies.attest(self._context, self._connection, targets, agent=agent, source=self._source)

    async def _overtake(self) -> None:
        """What the recipient said before, and was not taken, has been overtaken by what it says now."""
        await conflicts.resolve_all(self._connection, self._ours["id"], {Kind.ILLEGAL}, self._context.now)


def _simple_steps(current: str, told: str) -> tuple[str, ...] | None:
    """Those of a Task that is no referral, such as a request to abort one: R4 alone says how it may move."""
    if current == told:
        return ()
    return (told,) if workflow.is_open(current) and told != "draft" else None
