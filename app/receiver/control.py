"""The remote control: options, faults and resources, changed while the program runs."""

from __future__ import annotations

import json
from typing import Any

from app.errors import Malformed, UnsupportedMediaType
from app.fhir.json import loads
from app.fhir.types import Json
from app.fhir.validation import check
from app.receiver import misbehaviour, options
from app.receiver.misbehaviour import Course
from app.receiver.options import Options
from app.receiver.record import Record, new_id

_STEERING = ("next", "restart", "load")
"""`next`: a script of faults; `restart`: count requests anew; `load`: resources of the stand-in's own."""


def command(content_type: str, body: bytes) -> Json:
    """JSON and nothing else: a page in somebody's browser cannot send that here. Raises Problem."""
    if content_type.partition(";")[0].strip() != "application/json":
        raise UnsupportedMediaType("Commands are application/json.")
    try:
        given = json.loads(body)
    except ValueError:
        raise Malformed("The command is not JSON.") from None
    if not isinstance(given, dict):
        raise Malformed("A command is an object.")
    return given


def read(current: Options, given: Json) -> tuple[Options, list[Any]]:
    """The options as they are to be, and the resources to be loaded. Raises Malformed, before anything is done."""
    misbehaviour.script(given.get("next", []))
    wanted = options.changed(current, {name: value for name, value in given.items() if name not in _STEERING})
    misbehaviour.checked(wanted.misbehave)
    found = given.get("load", [])
    return wanted, found if isinstance(found, list) else [found]


def load(record: Record, resources: list[Any]) -> None:
    """Store resources under their own ids. Raises Problem when one is not valid R4."""
    for resource in loads(json.dumps(resources).encode()):
        check(resource)
        record.put(resource, resource.get("id") or new_id())


def steer(course: Course, given: Json) -> None:
    if "next" in given:
        course.next.clear()
        course.next.extend(misbehaviour.script(given["next"]))
    if given.get("restart"):
        course.restart()


def told(current: Options, course: Course) -> Json:
    """How things are; `faults` are number and name of those that were committed."""
    return {
        "options": options.shown(current),
        "requests": course.requests,
        "faults": list(course.done),
        "next": len(course.next),
    }
