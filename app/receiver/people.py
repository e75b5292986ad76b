"""What the people of the stand-in do with a referral: think for a while, accept or reject, begin, complete."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from app.fhir.references import local
from app.fhir.types import Json
from app.receiver.answers import (
    PAUSES,
    Verdict,
    abort_answered,
    answered,
    result_of,
    stopped,
    title_of,
    verdict,
    waits,
    waits_for_a_word,
)
from app.receiver.ledger import is_abort, kind_of, referral_of
from app.receiver.options import Options
from app.receiver.record import Record, Stored, new_id, now

# Plans: what waits, and since when


def plan(database: sqlite3.Connection, place: str, status: str, referral: str, title: str = "") -> bool:
    """Remember that something waits for people, unless it is known already. `place` is `Task/1` here, or a URL."""
    made = database.execute(
        "INSERT INTO plan (place, status, since, referral, title, begun) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        (place, status, now(), referral, title, now()),
    )
    return made.rowcount > 0


def planned(database: sqlite3.Connection, place: str, status: str, title: str = "") -> None:
    """Note how far it is: its next pause begins now."""
    database.execute(
        "UPDATE plan SET status = ?, since = ?, not_before = 0, title = CASE ? WHEN '' THEN title ELSE ? END "
        "WHERE place = ? AND status <> ?",
        (status, now(), title, title, place, status),
    )


def postponed(database: sqlite3.Connection, place: str, wait: float) -> None:
    """Nothing came of it: try again in so many seconds."""
    database.execute("UPDATE plan SET not_before = ? WHERE place = ?", (now() + int(wait * 1000), place))


def due(database: sqlite3.Connection, options: Options, *, here: bool, limit: int) -> list[tuple[str, str]]:
    """Place and referral of what people have thought about for long enough: here, or on the sender's API."""
    found: list[tuple[str, str]] = []
    for status, name in PAUSES.items():
        pause = getattr(options, name)
        if pause is not None:
            found += database.execute(
                "SELECT place, referral FROM plan WHERE status = ? AND since <= ? AND not_before <= ? "
                "AND (place LIKE 'http%') <> ? ORDER BY since LIMIT ?",
                (status, now() - int(pause * 1000), now(), here, limit),
            ).fetchall()
    return found


def receive(record: Record, sender: str, stored: Stored) -> None:
    """People begin to think about what was received here.

    A note in a chart cannot be answered here: whoever reads it looks for the Task on the sender's API.
    """
    resource = stored.json()
    status, referral = resource.get("status", ""), referral_of(record, resource)
    if stored.type in _ANSWERS and status in PAUSES:
        plan(record.database, stored.reference, status, referral, title_of(resource))
    if stored.type == "DocumentReference" and kind_of(resource, created=True) == "submit":
        query = urlencode({"identifier": referral}, safe="|:/")
        plan(record.database, f"{sender}/Task?{query}", "requested", referral, title_of(resource))


def task_url(text: str, sender: str) -> str | None:
    """The first Task of the sender's that a text names, as a URL. Nothing else is ever followed."""
    found = re.search(rf"{re.escape(sender)}/(Task/[A-Za-z0-9\-.]{{1,64}})", text)
    return f"{sender}/{found[1]}" if found else None


# Answers on the stand-in's own resources


def answer_here(record: Record, options: Options, place: str, referral: str) -> None:
    """The next step of what waits here; within a transaction."""
    type_name, _, id_ = place.partition("/")
    stored = record.get(type_name, id_)
    resource = stored.json() if stored else {"status": "entered-in-error"}
    if not waits(resource):
        planned(record.database, place, resource.get("status", ""))
        return
    found = verdict(options, referral)
    made = _ANSWERS[type_name](record, options, resource, found)
    for _ in range(2 if found.duplicate else 1):
        record.put(made, id_)
    planned(record.database, place, made["status"])


def _answer_task(record: Record, options: Options, task: Json, found: Verdict) -> Json:
    if is_abort(task):
        return _answer_abort(record, task)
    status = "rejected" if waits_for_a_word(task) and found.rejects else found.moves[task["status"]]
    output = result_of(task, options) if status == "completed" else None
    if output is not None:
        stored = record.put(output, new_id())
        return answered(task, status, found, record.base, stored.reference)
    return answered(task, status, found, record.base)


def _answer_abort(record: Record, abort: Json) -> Json:
    """Stop what is under way; what has ended cannot be stopped any more."""
    target = local(abort.get("focus", {}).get("reference", ""), record.base)
    stored = record.get(target.type, target.id) if target else None
    task = stored.json() if stored else {}
    if stored is None or not waits(task):
        return abort_answered(abort, "rejected")
    record.put(stopped(task), stored.id)
    planned(record.database, stored.reference, "cancelled")
    return abort_answered(abort, "completed")


def _answer_request(record: Record, options: Options, request: Json, found: Verdict) -> Json:
    """An order without a Task: all that people can tell is that it is done, or that they will not do it."""
    if found.rejects:
        return request | {"status": "revoked", "note": [*request.get("note", ()), {"text": found.reason[1]}]}
    output = result_of(request, options, here=f"ServiceRequest/{request['id']}")
    if output is not None:
        record.put(output, new_id())
    return request | {"status": "completed"}


_ANSWERS: Mapping[str, Callable[[Record, Options, Json, Verdict], Json]] = {
    "Task": _answer_task,
    "ServiceRequest": _answer_request,
}
