"""`ServiceRequest/$check-duplicate`: what has been asked for already, as a searchset with grades and reasons."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from app.errors import Malformed
from app.fhir import bundles, outcomes
from app.fhir.json import dumps
from app.fhir.own import codes
from app.fhir.own.codes import Refusal
from app.fhir.own.operations import CHECK_DUPLICATE
from app.fhir.own.parameters import read_parameters
from app.fhir.referrals.duplicates import MATCH_GRADE, Grade, Likeness
from app.fhir.types import FhirRequest, FhirResult, Json
from app.interactions.context import Context
from app.services import stored
from app.services.referrals import duplicates, subject
from app.services.referrals.refusals import issue

_LONGEST = 36_500


async def check_duplicate(context: Context, request: FhirRequest) -> FhirResult:
    """200 with a searchset, empty when there is none. Raises Malformed, Invalid, NotFound and Gone."""
    given = read_parameters(request, CHECK_DUPLICATE)
    resource = given.value("resource")
    if bool(request.id) == (resource is not None):
        text = "It takes the parameter 'resource' where the URL names no order, and only there."
        given.refuse(text, "resource")
    window = given.value("window", duplicates.WINDOW.days)
    if isinstance(window, int) and window > _LONGEST:
        given.refuse(f"The window is at most {_LONGEST} days.", "window")
    given.finish()
    async with context.reading() as connection:
        order = await subject.read(context, connection, request) if request.id else resource
        if stored.target_of(context, order.get("subject")) is None:
            raise Malformed("The order must have a subject of this server.")
        candidates = await duplicates.find(
            context,
            connection,
            order,
            {
                f"{target.type}/{target.id}"
                for each in given.all("recipient")
                if (target := stored.target_of(context, each.value))
            },
            threshold=Grade(given.value("threshold", Grade.POSSIBLE.value)),
            window=timedelta(days=window),
        )
    return FhirResult(200, _searchset(context, request, candidates))


def _searchset(context: Context, request: FhirRequest, candidates: Sequence[duplicates.Candidate]) -> bytes:
    base_url = context.server.base_url
    shown = [each for each in candidates if not each.hidden]
    hidden = [
        issue(base_url, Refusal.POSSIBLE_DUPLICATE, duplicates.OF_ANOTHER, warning=True)
        for each in candidates
        if each.hidden
    ]
    return bundles.searchset(
        [
            bundles.Match(
                f"{base_url}/{each.name}",
                dumps(each.resource),
                extension=_told(each.likeness, base_url),
                score=each.likeness.grade.score,
            )
            for each in shown
        ],
        id=context.new_id(),
        links=[("self", f"{base_url}/{request.path}/$check-duplicate")],
        last_updated=context.now,
        total=len(shown),
        outcome=outcomes.outcome(hidden) if hidden else None,
    )


def _told(alike: Likeness, base_url: str) -> list[Json]:
    reason = codes.extension(base_url, "duplicate-reason")
    return [
        {"url": MATCH_GRADE, "valueCode": alike.grade.value},
        *({"url": reason, "valueCode": each.value} for each in alike.reasons),
    ]
