"""What a worker noted on a Task after a caller had read it.

A recipient that is told of a referral answers at once, with the Task as it was when it was told: that it was told is
noted on the Task meanwhile. Its answer is taken, and the note stays. A note that comes back changed is refused
(`rules.py`), and so is one that is left out by a caller who names the version with it.
"""

from __future__ import annotations

from app.fhir.own import codes
from app.fhir.own.codes import FILLER
from app.fhir.referrals.workflow import typed_identifiers
from app.fhir.types import Json
from app.interactions.context import Context

_NOTE = "task-delivery"


def keep_unseen(context: Context, before: Json, after: Json) -> Json:
    """`after` with the note on the delivery that only `before` has, and the identifiers that came with it."""
    url = codes.extension(context.server.base_url, _NOTE)
    noted, seen = ([one for one in task.get("extension", ()) if one.get("url") == url] for task in (before, after))
    if seen or not noted:
        return after
    known = after.get("identifier", [])
    given = [one for one in typed_identifiers(before, FILLER) if one not in known]
    kept = {"extension": [*after.get("extension", ()), *noted], "identifier": [*known, *given]}
    return after | {name: value for name, value in kept.items() if value}
