"""The work-list in SQL: one arm for each reason, over index rows of Tasks and the tables of deliveries and conflicts.

An arm selects `rid, reason, code, since, due, number` of the Tasks `r` that the search's own condition lets through.
Each begins with rows that only open work has, and so costs what there is to do, not what has been done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.fhir.own.codes import TASK_CODE, Reason
from app.fhir.referrals.worklist import ACKNOWLEDGED_WITHIN, UPDATED_WITHIN, Clock, Why
from app.fhir.search.cursor import Place
from app.fhir.search.parameters import parameter
from app.fhir.search.query import Query
from app.store.connections import Connection
from app.store.numbers import TYPE_ID, TYPE_NAME, Numbers
from app.store.predicate import Predicate
from app.store.resources import Stored
from app.store.save_function import METHODS, PUT_THAT_CREATED
from app.store.search.conditions import where
from app.store.search.known import scope_for
from app.store.search.page import Match, Page

OPEN = ("draft", "requested", "received", "accepted", "ready", "in-progress", "on-hold")
UNDER_WAY = ("received", "accepted", "in-progress", "on-hold")
FALLEN_THROUGH = ("rejected", "cancelled", "failed", "entered-in-error")


def _id(type_name: str, code: str) -> int:
    found = parameter(type_name, code)
    if found is None:
        raise LookupError(f"There is no search parameter {type_name}?{code}.")
    return found.id


_STATUS, _CODE, _FOCUS = (_id("Task", code) for code in ("status", "code", "focus"))
_AUTHORED, _MODIFIED, _DUE = (_id("Task", code) for code in ("authored-on", "modified", "due"))
_PRIORITY, _OUTPUT = (_id("Task", code) for code in ("priority", "output-type"))
_ORDER_STATUS = _id("ServiceRequest", "status")


def _in(codes: Iterable[str]) -> str:
    return ", ".join(f"'{code}'" for code in codes)


def _tasks(statuses: Sequence[str]) -> str:
    """Referral Tasks `r` in one of these statuses."""
    return (
        f"index_token AS s JOIN resource AS r ON r.rid = s.rid WHERE s.param_id = {_STATUS} "
        f"AND s.code IN ({_in(statuses)}) AND {_REFERRAL}"
    )


_REFERRAL = (
    f"EXISTS (SELECT FROM index_token AS f JOIN system AS y ON y.id = f.system_id WHERE f.rid = r.rid "
    f"AND f.param_id = {_CODE} AND f.code = 'fulfill' AND y.uri = '{TASK_CODE}')"
)

# A received Task names its order on the sender's server as well, by an identifier; what becomes of it is the sender's.
_RECEIVED = f"EXISTS (SELECT FROM index_token AS o WHERE o.rid = r.rid AND o.param_id = {_FOCUS})"


def _date(parameter_id: int, bound: str = "lo") -> str:
    """When something was, by the resource's own word; NULL where it says nothing."""
    return (
        f"(SELECT to_timestamp(min(i.{bound}) / 1000000.0) FROM index_date AS i "
        f"WHERE i.rid = r.rid AND i.param_id = {parameter_id})"
    )


_CREATIONS = f"{METHODS['POST']}, {PUT_THAT_CREATED}"

# A change is as old as its version. Only what has not been changed since it was created, such as an import, is as old
# as it says of itself. What CareLoop noted on it about its delivery is no change.
_CHANGED = (
    f"(SELECT CASE WHEN v.method IN ({_CREATIONS}) THEN coalesce({_date(_MODIFIED)}, v.last_updated) "
    f"ELSE v.last_updated END FROM resource_version AS v WHERE v.rid = r.rid AND v.method <> {METHODS['NOTE']} "
    "ORDER BY v.version DESC LIMIT 1)"
)


def _worked(start: str, days: int) -> str:
    """`start` and so many days of work later: Saturdays and Sundays do not count. Five days at most."""
    monday = f"date_trunc('week', {start}) + interval '7 days'"
    begin = f"CASE WHEN extract(isodow FROM {start}) > 5 THEN {monday} ELSE {start} END"
    return (
        f"({begin}) + make_interval(days => {days} + "
        f"CASE WHEN extract(isodow FROM {begin}) + {days} > 5 THEN 2 ELSE 0 END)"
    )


def _after(start: str, clock: Clock) -> str:
    return _worked(start, clock.working_days) if clock.working_days else f"{start} + interval '{clock.hours} hours'"


def unacknowledged(condition: str) -> str:
    """The clock runs from the moment at which the referral arrived, or was written where nothing was delivered."""
    delivered = (
        "(SELECT max(d.settled_at) FROM delivery AS d WHERE d.task_id = r.id AND d.kind = 'submit' "
        "AND d.state = 'delivered')"
    )
    since = f"coalesce({delivered}, {_date(_AUTHORED)}, r.last_updated)"
    priority = f"(SELECT p.code FROM index_token AS p WHERE p.rid = r.rid AND p.param_id = {_PRIORITY} LIMIT 1)"
    cases = " ".join(f"WHEN '{code}' THEN {_after('t.since', clock)}" for code, clock in ACKNOWLEDGED_WITHIN.items())
    otherwise = _after("t.since", ACKNOWLEDGED_WITHIN["routine"])
    return (
        "SELECT t.rid, t.code, t.since, u.due, NULL::bigint FROM ("
        f"SELECT r.rid, coalesce({priority}, 'routine') AS code, {since} AS since "
        f"FROM {_tasks(('requested',))} AND {condition} OFFSET 0) AS t "
        f"CROSS JOIN LATERAL (SELECT CASE t.code {cases} ELSE {otherwise} END AS due) AS u WHERE u.due < now()"
    )


def _dead(condition: str) -> str:
    """The last word about a delivery is that it failed, and the Task still waits for it."""
    return (
        "SELECT r.rid, d.outcome, d.settled_at, NULL::timestamptz, d.id FROM delivery AS d "
        f"JOIN resource AS r ON r.type_id = {TYPE_ID['Task']} AND r.id = d.task_id "
        "WHERE d.state = 'dead' AND NOT EXISTS (SELECT FROM delivery AS n WHERE n.task_id = d.task_id "
        "AND n.kind = d.kind AND n.id > d.id) AND (d.kind <> 'submit' OR EXISTS (SELECT FROM index_token AS s "
        f"WHERE s.rid = r.rid AND s.param_id = {_STATUS} AND s.code IN ({_in(OPEN)}))) AND {condition}"
    )


def _not_updated(condition: str) -> str:
    days = UPDATED_WITHIN.days
    return (
        f"SELECT t.rid, t.code, t.since, t.since + interval '{days} days', NULL::bigint FROM ("
        f"SELECT r.rid, s.code, {_CHANGED} AS since FROM {_tasks(UNDER_WAY)} AND {condition} OFFSET 0) AS t "
        f"WHERE t.since < now() - interval '{days} days'"
    )


def _overdue(condition: str) -> str:
    due = _date(_DUE, "hi")
    return (
        f"SELECT r.rid, s.code, {due}, {due}, NULL::bigint FROM {_tasks(OPEN)} "
        f"AND EXISTS (SELECT FROM index_date AS i WHERE i.rid = r.rid AND i.param_id = {_DUE} "
        f"AND i.hi < extract(epoch FROM now()) * 1000000) AND {condition}"
    )


def _without_output(condition: str) -> str:
    return (
        f"SELECT r.rid, NULL, {_CHANGED}, NULL::timestamptz, NULL::bigint FROM {_tasks(('completed',))} "
        f"AND NOT EXISTS (SELECT FROM index_token AS o WHERE o.rid = r.rid AND o.param_id = {_OUTPUT}) AND {condition}"
    )


def _settled_order(statuses: Sequence[str], further: str) -> Callable[[str], str]:
    """The last Task in one of these statuses of every active order without an open Task or one in status `further`."""
    others = (
        "SELECT a.code FROM index_reference AS b JOIN index_token AS c ON c.rid = b.rid "
        f"AND c.param_id = {_CODE} AND c.code = 'fulfill' JOIN index_token AS a ON a.rid = b.rid "
        f"AND a.param_id = {_STATUS} WHERE b.param_id = {_FOCUS} AND b.target_rid = q.rid"
    )

    def arm(condition: str) -> str:
        return (
            f"SELECT r.rid, l.code, {_CHANGED}, NULL::timestamptz, NULL::bigint FROM index_token AS q "
            "CROSS JOIN LATERAL (SELECT i.rid, s.code FROM index_reference AS i "
            f"JOIN index_token AS s ON s.rid = i.rid AND s.param_id = {_STATUS} AND s.code IN ({_in(statuses)}) "
            f"WHERE i.param_id = {_FOCUS} AND i.target_rid = q.rid ORDER BY i.rid DESC LIMIT 1) AS l "
            f"JOIN resource AS r ON r.rid = l.rid WHERE q.param_id = {_ORDER_STATUS} AND q.code = 'active' "
            f"AND NOT EXISTS ({others} AND a.code IN ({_in((*OPEN, *([further] if further else [])))})) "
            f"AND NOT ({_RECEIVED}) AND {_REFERRAL} AND {condition}"
        )

    return arm


def _conflicts(kinds: str) -> Callable[[str], str]:
    def arm(condition: str) -> str:
        return (
            "SELECT r.rid, nullif(x.code, ''), x.at, NULL::timestamptz, x.id FROM inbound_conflict AS x "
            f"JOIN resource AS r ON r.type_id = {TYPE_ID['Task']} AND r.id = x.task_id "
            f"WHERE x.resolved_at IS NULL AND x.kind {kinds} AND {condition}"
        )

    return arm


_ARMS: Mapping[Reason, Callable[[str], str]] = {
    Reason.UNACKNOWLEDGED: unacknowledged,
    Reason.DELIVERY_DEAD: _dead,
    Reason.NO_UPDATE: _not_updated,
    Reason.OVERDUE: _overdue,
    Reason.NEEDS_REREFER: _settled_order(FALLEN_THROUGH, "completed"),
    Reason.COMPLETED_NO_OUTPUT: _without_output,
    Reason.READY_TO_COMPLETE: _settled_order(("completed",), ""),
    Reason.UNMATCHED_PATIENT: _conflicts("= 'unmatched-patient'"),
    Reason.INBOUND_CONFLICT: _conflicts("<> 'unmatched-patient'"),
}


@dataclass(frozen=True, slots=True)
class Work:
    """One Task of the list, with its reasons, the oldest first."""

    match: Match
    reasons: Sequence[Why]


async def page(
    connection: Connection,
    numbers: Numbers,
    query: Query,
    visible: Predicate,
    reasons: Sequence[Reason],
    *,
    limit: int,
    place: Place | None = None,
) -> tuple[Page, list[Work]]:
    """Up to `limit` Tasks that match the query and are on the list for one of the reasons, longest waiting first."""
    scope = await scope_for(connection, numbers, visible, query.conditions)
    listed = _listed(where(scope, query), reasons)
    backward = place is not None and place.backward
    beyond = ""
    if place is not None:
        since, rid = scope.bind(place.keys[0]), scope.bind(place.rid)
        beyond = f"WHERE (w.since, w.rid) {'<' if backward else '>'}{'=' if place.inclusive else ''} ({since}, {rid})"
    order = "DESC" if backward else "ASC"
    rows = await connection.fetch(
        "SELECT r.rid, r.type_id, r.id, r.version, r.last_updated, r.body, w.since, w.told "
        f"FROM ({listed}) AS w JOIN resource AS r ON r.rid = w.rid {beyond} "
        f"ORDER BY w.since {order}, w.rid {order} LIMIT {limit + 1:d}",
        *scope.arguments,
    )
    kept = rows[:limit]
    if backward:
        kept.reverse()
    found = [_work(row) for row in kept]
    return Page([work.match for work in found], more=len(rows) > limit), found


async def count(
    connection: Connection, numbers: Numbers, query: Query, visible: Predicate, reasons: Sequence[Reason]
) -> int:
    scope = await scope_for(connection, numbers, visible, query.conditions)
    total: int = await connection.fetchval(
        f"SELECT count(*) FROM ({_listed(where(scope, query), reasons)}) AS w", *scope.arguments
    )
    return total


def _listed(condition: str, reasons: Sequence[Reason]) -> str:
    arms = " UNION ALL ".join(
        f"SELECT rid, '{reason.value}' AS reason, code, since, due, number "
        f"FROM ({_ARMS[reason](condition)}) AS a(rid, code, since, due, number)"
        for reason in reasons
    )
    return (
        "SELECT rid, min(since) AS since, "
        "array_agg(ROW(reason, code, since, due, number) ORDER BY since, reason) AS told "
        f"FROM ({arms}) AS each GROUP BY rid"
    )


def _work(row: Iterable[Any]) -> Work:
    rid, type_id, id_, version, last_updated, body, since, told = row
    stored = Stored(TYPE_NAME[type_id], id_, version, last_updated, body)
    return Work(Match(rid, stored, (since,)), [_why(*one) for one in told])


def _why(reason: str, code: str | None, since: Any, due: Any, number: int | None) -> Why:
    return Why(Reason(reason), since, code, due, number)
