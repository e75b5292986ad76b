"""What has arrived, and what became of it: the ground truth of "none lost, none doubled, in order"."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from app.fhir.bundles import instant
from app.fhir.json import loads
from app.fhir.own import codes
from app.fhir.references import local
from app.fhir.types import Json
from app.receiver.record import Record, Stored, identifiers, moment, now

ABORT = "abort"
MESSAGES = frozenset({"Task", "ServiceRequest", "DocumentReference", "Communication"})
"""The types whose creation or change is a message of its own."""


def arrived(record: Record, dialect: str, message: Json, made: Stored, *, created: bool, fresh: bool) -> None:
    """Write down that a message arrived, as it came, and which resource is there for it now.

    `created`: it was sent to be created. `fresh` is False when it was there already. The dialect is that of the message
    that it adds to, if it adds to one.
    """
    key, kind, first = identifier_of(message), kind_of(message, created=created), _first(record, message)
    dialect = (dialect_of(record.database, first.reference) if first else None) or dialect
    referral = referral_of(record, message | {"id": made.id})
    write(record.database, dialect, kind, key, referral, made.reference, fresh=fresh)


def write(
    database: sqlite3.Connection, dialect: str, kind: str, identifier: str, referral: str, made: str, *, fresh: bool
) -> None:
    database.execute(
        "INSERT INTO arrival (at, dialect, kind, identifier, referral, made, fresh) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (now(), dialect, kind, identifier, referral, made, fresh),
    )


def dialect_of(database: sqlite3.Connection, made: str) -> str | None:
    """The dialect of the message that made a resource."""
    row = database.execute("SELECT dialect FROM arrival WHERE made = ? ORDER BY number LIMIT 1", (made,)).fetchone()
    return str(row[0]) if row else None


def kind_of(message: Json, *, created: bool) -> str:
    """What a message does: `submit`, `cancel`, `abort`; `update` for any other change that a sender makes."""
    if message["resourceType"] in _READ:
        return _read(message)
    if is_abort(message):
        return ABORT
    if created:
        return "submit"
    return "cancel" if message.get("status") in _WITHDRAWN else "update"


def is_abort(resource: Json) -> bool:
    """Whether it is a Task that asks for the end of another one."""
    return resource["resourceType"] == "Task" and ABORT in codes.codes_of(resource.get("code"), codes.TASK_CODE)


def _read(resource: Json) -> str:
    """Notes and messages tell by their titles what they are about, to people."""
    title = str(resource.get("description") or resource.get("topic", {}).get("text", "")).lower()
    return next((kind for word, kind in _WORDS.items() if word in title), "submit")


_WITHDRAWN = frozenset({"cancelled", "revoked", "entered-in-error"})
_READ = frozenset({"DocumentReference", "Communication"})
_WORDS = {"withdrawn": "cancel", "cancel": "cancel", "stop": ABORT}


def identifier_of(resource: Json) -> str:
    """`system|value` of the placer's identifier; of the first where none is typed so; blank without any."""
    found = identifiers(resource)
    placers = [i for i in found if codes.PLACER in codes.codes_of(i.get("type"), codes.IDENTIFIER_TYPE)]
    first = next(iter(placers or found), None)
    return "" if first is None else _text(first)


def _text(identifier: Json) -> str:
    return f"{identifier.get('system', '')}|{identifier.get('value', '')}"


def referral_of(record: Record, resource: Json) -> str:
    """What a message is about, the same for all messages about one referral: the placer's identifier of its Task."""
    about, first = _about(resource), _first(record, resource)
    if first is not None:
        return referral_of(record, first.json())
    if about:
        return _text(about["identifier"]) if "identifier" in about else str(about.get("reference", ""))
    return identifier_of(resource) or f"{resource['resourceType']}/{resource.get('id', '')}"


def referral_there(database: sqlite3.Connection, base: str, task: Json) -> str:
    """The same for a Task on the sender's API: what the Task is about that it adds to; blank when it adds to none."""
    place = _about(task).get("reference", "")
    made = place if place.startswith("http") else f"{base}/{place}"
    row = database.execute("SELECT referral FROM arrival WHERE made = ? ORDER BY number LIMIT 1", (made,)).fetchone()
    return str(row[0]) if row else ""


def _first(record: Record, resource: Json) -> Stored | None:
    """The resource of the message that this one adds to."""
    target = local(_about(resource).get("reference", ""), record.base)
    return record.get(target.type, target.id) if target else None


def _about(resource: Json) -> Json:
    """What a message adds to: the Task to be stopped, the note that came before, the note that a message is about."""
    if resource["resourceType"] == "Task":
        return (resource.get("focus") or {}) if is_abort(resource) else {}
    listed = [one.get("target", {}) for one in resource.get("relatesTo", ())] or resource.get("about", ())
    return next(iter(listed), {})


def report(database: sqlite3.Connection) -> Json:
    """The ledger as JSON: messages, the order per referral, what is doubled, and counts.

    A Communication goes along with a note, and has no place of its own in the order.
    """
    messages = _messages(database)
    doubled = [*_doubled_resources(database), *_doubled_webhooks(messages)]
    orders: dict[str, list[Json]] = defaultdict(list)
    for message in messages:
        if message["referral"] and not message["made"][0].startswith("Communication/"):
            orders[message["referral"]].append({"kind": message["kind"], "order": message["orders"][0]})
    types = dict(database.execute("SELECT type, count(*) FROM resource GROUP BY type").fetchall())
    return {
        "messages": messages,
        "referrals": {key: [each["kind"] for each in sorted(o, key=lambda e: e["order"])] for key, o in orders.items()},
        "doubled": doubled,
        "counts": {
            "messages": len(messages),
            "arrivals": sum(message["arrivals"] for message in messages),
            "repeated": sum(message["arrivals"] - 1 for message in messages),
            "doubled": len(doubled),
            "resources": types,
        },
        "plans": _plans(database),
    }


def _messages(database: sqlite3.Connection) -> list[Json]:
    """Arrivals by what they are: the same message of the same dialect is one, however often it came."""
    found: dict[tuple[str, ...], Json] = {}
    rows: Iterable[Any] = database.execute(
        "SELECT number, at, dialect, kind, identifier, referral, made, fresh FROM arrival ORDER BY number"
    )
    for number, at, dialect, kind, identifier, referral, made, fresh in rows:
        key = (dialect, kind, identifier or made, made.partition("/")[0])
        message = found.setdefault(
            key,
            {
                "dialect": dialect,
                "kind": kind,
                "identifier": identifier,
                "referral": referral,
                "first": instant(moment(at)),
                "arrivals": 0,
                "processed": 0,
                "made": [],
                "orders": [],
            },
        )
        message["last"] = instant(moment(at))
        message["arrivals"] += 1
        message["processed"] += fresh
        message["orders"].append(number)
        if made not in message["made"]:
            message["made"].append(made)
    return list(found.values())


def _doubled_resources(database: sqlite3.Connection) -> list[Json]:
    """Two resources of one type with the same placer's identifier."""
    holders: dict[tuple[str, str], list[str]] = defaultdict(list)
    marks = ", ".join("?" * len(MESSAGES))
    rows = database.execute(f"SELECT type, id, body FROM resource WHERE type IN ({marks})", sorted(MESSAGES))  # noqa: S608
    for type_name, id_, body in rows:
        key = identifier_of(loads(body))
        if key:
            holders[type_name, key].append(f"{type_name}/{id_}")
    return [
        {"type": type_name, "identifier": key, "resources": found}
        for (type_name, key), found in holders.items()
        if len(found) > 1
    ]


def _doubled_webhooks(messages: Iterable[Json]) -> list[Json]:
    return [
        {"type": "webhook", "identifier": message["identifier"], "resources": message["made"]}
        for message in messages
        if message["dialect"] == "webhook" and message["processed"] > 1
    ]


def _plans(database: sqlite3.Connection) -> Json:
    """Where the stand-in's people are with each referral, by place and by status."""
    rows: list[tuple[str, str]] = database.execute("SELECT place, status FROM plan ORDER BY begun, place").fetchall()
    return dict(rows)
