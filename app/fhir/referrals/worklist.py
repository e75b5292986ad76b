"""The work-list: the Tasks that need somebody's attention, why, since when, and by when.

R4 has named queries (search.html#query) but none for this: `GET Task?_query=worklist`. The reasons and their clocks are
the tables of this file; `app/store/referrals/worklist.py` computes them at read time, so that nothing has to run for a
stall to be seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.fhir.bundles import instant
from app.fhir.own import codes
from app.fhir.own.codes import Reason
from app.fhir.types import Json

QUERY = "worklist"
REASON = "reason"
"""The parameter that asks for some reasons only, joined by commas."""


@dataclass(frozen=True, slots=True)
class Clock:
    """How long something may take: hours, or days of work (Monday to Friday, in UTC)."""

    hours: int = 0
    working_days: int = 0


ACKNOWLEDGED_WITHIN: Mapping[str, Clock] = {
    "stat": Clock(hours=1),
    "asap": Clock(hours=4),
    "urgent": Clock(working_days=1),
    "routine": Clock(working_days=3),
}
"""By `Task.priority`: after so long a referral that nobody has received, accepted or rejected is `unacknowledged`."""

UPDATED_WITHIN = timedelta(days=14)
"""After so long without a change an accepted referral is `no-update`.

What changes is as old as the change itself, whatever its `lastModified` says; what CareLoop notes about a delivery is
no change. Only a Task that is as it was created is as old as its `lastModified`: an import may be about long ago.
"""


@dataclass(frozen=True, slots=True)
class Why:
    """One reason. `code` says more (a priority, the outcome of a delivery, the kind of a conflict).

    `number` is that of the delivery or of the conflict, where there is one: `$resolve` takes a conflict's.
    """

    reason: Reason
    since: datetime
    code: str | None = None
    due: datetime | None = None
    number: int | None = None


def told(why: Why, base_url: str) -> Json:
    """The reason as the extension on `entry.search`."""
    parts: list[Json] = [{"url": "reason", "valueCode": why.reason.value}]
    if why.code:
        parts.append({"url": "code", "valueCode": why.code})
    parts.append({"url": "since", "valueInstant": instant(why.since)})
    if why.due:
        parts.append({"url": "due", "valueInstant": instant(why.due)})
    if why.number is not None:
        parts.append({"url": "number", "valueString": str(why.number)})
    return {"url": codes.extension(base_url, "worklist-reason"), "extension": parts}
