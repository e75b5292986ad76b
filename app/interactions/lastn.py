"""The $lastn operation: the last observations of each code.

https://hl7.org/fhir/R4/operation-observation-lastn.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from app.errors import Issue, Malformed
from app.fhir import bundles
from app.fhir.operations import parameter_pairs
from app.fhir.preferences import prefer
from app.fhir.search.parser import parse_query
from app.fhir.search.query import Chain, Clause, Modifier, Query
from app.fhir.search.result_parameters import FORMATS
from app.fhir.types import FhirRequest, FhirResult
from app.interactions.context import Context
from app.interactions.includes import included
from app.interactions.paging import link
from app.interactions.resolve import resolve
from app.interactions.search import entries, left_out
from app.store.search.lastn import last

_SUBJECTS = frozenset({"patient", "subject"})
# The answer has an order of its own and no pages.
_REFUSED = frozenset({"_count", "_cursor", "_sort", "_total", "_explain"})
_is_positive = re.compile(r"[1-9]\d{0,5}", re.ASCII).fullmatch


async def lastn(context: Context, request: FhirRequest) -> FhirResult:
    """Raises Malformed, also when there are more observations than a page may hold."""
    pairs = [pair for pair in parameter_pairs(request) if pair[0] not in FORMATS]
    each = _each([text.strip() for name, text in pairs if name == "max" and text.strip()])
    query = _read(context, request, [pair for pair in pairs if pair[0] != "max"])
    most = context.server.max_count
    async with context.searching() as connection:
        query = await resolve(context, connection, query)
        matches = await last(connection, context.server.numbers, query, context.visible, each=each, limit=most + 1)
        if len(matches) > most:
            text = f"The answer would hold more than {most} observations: ask for fewer codes or a smaller max."
            raise Malformed(issues=[Issue("too-costly", text)])
        added = await included(context, connection, query, matches)
    used = [*query.used, ("max", str(each))]
    body = bundles.searchset(
        entries(context, query, matches, added),
        id=context.new_id(),
        links=[("self", link(f"{context.server.base_url}/Observation/$lastn", used))],
        last_updated=context.now,
        total=len(matches),
        outcome=left_out(query),
    )
    return FhirResult(200, body)


def _each(texts: Sequence[str]) -> int:
    if len(texts) > 1 or not all(map(_is_positive, texts)):
        raise Malformed("The parameter 'max' needs one whole number, 1 or more.")
    return int(texts[0]) if texts else 1


def _read(context: Context, request: FhirRequest, pairs: Sequence[tuple[str, str]]) -> Query:
    refused = sorted({name for name, _ in pairs if name.partition(":")[0] in _REFUSED})
    if refused:
        raise Malformed(issues=[Issue("not-supported", f"The operation $lastn takes no {name!r}.") for name in refused])
    lenient = prefer(request.headers.get("prefer")).lenient
    query = parse_query(("Observation",), pairs, lenient=lenient, base_url=context.server.base_url)
    if not any(_names_subject(query)):
        raise Malformed(issues=[Issue("required", "The operation $lastn needs the parameter 'patient' or 'subject'.")])
    return query


def _names_subject(query: Query) -> Iterator[bool]:
    for condition in query.conditions:
        match condition:
            case Clause(parameter=parameter, modifier=modifier):
                yield parameter.code in _SUBJECTS and modifier is not Modifier.MISSING
            case Chain(parameter=parameter):
                yield parameter.code in _SUBJECTS
