"""Resources that a page holds besides its matches (https://hl7.org/fhir/R4/search.html#revinclude)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from app.errors import Issue, Malformed
from app.fhir.fhirpath import compile_path
from app.fhir.json import loads
from app.fhir.references import local
from app.fhir.search.parameters import SearchParameter, parameters
from app.fhir.search.query import Query
from app.interactions.context import Context
from app.store.connections import Connection
from app.store.resources import Stored
from app.store.search import includes as store
from app.store.search.includes import Included
from app.store.search.page import Match

MOST_ROUNDS = 8
MOST_INCLUDED = 10_000


async def included(context: Context, connection: Connection, query: Query, matches: Sequence[Match]) -> list[Stored]:
    """What the includes of the query add to the matches of a page, in the order in which it was stored.

    No match is among them, and nothing twice. Raises Malformed (too-costly) when it is more than a page may hold.
    """
    if not query.includes or not matches:
        return []
    found = await _gather(context, connection, query, matches)
    current = [(each.rid, each.stored) for each in found if not each.sources]
    named = await _named_versions(context, connection, [each for each in found if each.sources], matches, found)
    return [stored for _, stored in sorted([*current, *named], key=lambda pair: (pair[0], pair[1].version))]


async def _gather(
    context: Context, connection: Connection, query: Query, matches: Sequence[Match]
) -> Sequence[Included]:
    """Follow all includes from the matches, and those that iterate from what was found, until there is nothing new."""
    starts = {match.rid: match.stored.type for match in matches}
    known = set(starts)
    includes = query.includes
    found: list[Included] = []
    rounds = 0
    while includes and starts:
        new = await store.follow(
            connection,
            context.server.numbers,
            includes,
            starts,
            context.visible,
            known=known,
            limit=MOST_INCLUDED - len(found) + 1,
        )
        rounds += 1
        found += new
        _refuse_excess(len(found), rounds if new else 0)
        starts = {each.rid: each.stored.type for each in new}
        known.update(starts)
        includes = tuple(include for include in query.includes if include.iterate)
    return found


def _refuse_excess(found: int, rounds: int) -> None:
    if found > MOST_INCLUDED:
        text = f"More than {MOST_INCLUDED} resources would be included: ask for smaller pages (_count) or for less."
        raise Malformed(issues=[Issue("too-costly", text)])
    if rounds > MOST_ROUNDS:
        text = f"Including with :iterate leads further than {MOST_ROUNDS} steps: ask for the rest by its references."
        raise Malformed(issues=[Issue("too-costly", text)])


# Versions that references name


async def _named_versions(
    context: Context,
    connection: Connection,
    targets: Sequence[Included],
    matches: Sequence[Match],
    found: Sequence[Included],
) -> list[tuple[int, Stored]]:
    """The targets as their references want them: the versions they name, or the current state."""
    if not targets:
        return []
    sources = {match.rid: match.stored for match in matches} | {each.rid: each.stored for each in found}
    bodies = _Bodies(sources, context.server.base_url)
    result: list[tuple[int, Stored]] = []
    wanted: set[tuple[int, int]] = set()
    for target in targets:
        named = {version for source in target.sources for version in bodies.versions(*source, target.stored)}
        if named & {None, target.stored.version}:
            result.append((target.rid, target.stored))
        wanted |= {(target.rid, version) for version in named - {None, target.stored.version} if version is not None}
    if wanted:
        result += await store.versions(connection, context.server.numbers, sorted(wanted), context.visible)
    return result


class _Bodies:
    """The resources in which references stand, each parsed once."""

    def __init__(self, stored: dict[int, Stored], base_url: str) -> None:
        self._stored = stored
        self._base_url = base_url
        self._parsed: dict[int, dict[str, object]] = {}

    def versions(self, rid: int, parameter_id: int, target: Stored) -> Iterator[int | None]:
        """The versions of the target that the references of one parameter name; None for its current state."""
        source = self._stored[rid]
        if rid not in self._parsed:
            self._parsed[rid] = loads(source.json())
        for _, value in compile_path(_owner(source.type, parameter_id).expression or "", source.type)(
            self._parsed[rid]
        ):
            named = local(str(value.get("reference", "")), self._base_url) if isinstance(value, dict) else None
            if named is not None and (named.type, named.id) == (target.type, target.id):
                yield int(named.version) if named.version and named.version.isdecimal() else None


def _owner(type_name: str, parameter_id: int) -> SearchParameter:
    """The parameter under whose own id index rows stand."""
    return next(each for each in parameters(type_name).values() if each.id == parameter_id)
