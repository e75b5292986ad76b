"""ValueSets and CodeSystems as the caller may see them, by URL or by id: first which there are, then their bodies."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from app.fhir.search.parameters import parameter
from app.fhir.search.text import uri_key
from app.store.connections import Connection
from app.store.numbers import Numbers
from app.store.predicate import Predicate
from app.store.resources import Stored
from app.store.search.rows import of_parameter
from app.store.search.scope import Scope

Key = tuple[int, int]
"""The rid and the version of a definition, which together stand for its content."""


async def keys(
    connection: Connection,
    numbers: Numbers,
    visible: Predicate,
    type_name: str,
    *,
    urls: Collection[str],
    ids: Collection[str],
    limit: int,
) -> list[Key]:
    """The definitions of a type that have one of the URLs, in all their versions, or one of the ids."""
    url = parameter(type_name, "url")
    if url is None:
        raise ValueError("Resources of this type have no URL.")
    scope = Scope(numbers, visible)
    living = scope.living(type_name)
    by_url = (
        f"SELECT i.rid FROM index_uri AS i WHERE {of_parameter(url)} "
        f"AND i.value = ANY ({scope.bind([uri_key(each) for each in urls])}::text[])"
    )
    by_id = f"SELECT r.rid FROM resource AS r WHERE {scope.living(type_name)} AND r.id = ANY ({scope.bind(list(ids))})"
    rows = await connection.fetch(
        f"SELECT r.rid, r.version FROM resource AS r WHERE {living} AND r.rid IN ({by_url} UNION ALL {by_id}) "
        f"LIMIT {limit:d}",
        *scope.arguments,
    )
    return [(row[0], row[1]) for row in rows]


async def bodies(
    connection: Connection, numbers: Numbers, visible: Predicate, type_name: str, wanted: Sequence[Key]
) -> dict[Key, Stored]:
    """The current state of definitions. One that has changed since has another key."""
    scope = Scope(numbers, visible)
    rows = await connection.fetch(
        f"SELECT r.rid, r.version, r.id, r.last_updated, r.body FROM resource AS r WHERE {scope.living(type_name)} "
        f"AND r.rid = ANY ({scope.bind([rid for rid, _ in wanted])}::bigint[])",
        *scope.arguments,
    )
    return {(row[0], row[1]): Stored(type_name, row[2], row[1], row[3], row[4]) for row in rows}
