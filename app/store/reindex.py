"""Making index rows anew, batch by batch, while the server runs: what is locked, written and remembered.

A batch is one transaction: its resources wait for it, all others do not. The table `reindex` says how far the work is,
so whoever comes next goes on from there; several may even work at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.store import contained_statements, save_function
from app.store.connections import Connection
from app.store.index_columns import Indexed, index_arguments, target_arguments
from app.store.index_statements import type_of
from app.store.numbers import TYPE_ID, Numbers
from app.store.resources import Stored

NAME = f"careloop_reindex_{save_function.VERSION}"
_TARGETS = save_function.TARGET_COLUMNS[:2]

_BODY = """
DECLARE
{variables}
  fresh boolean := false;
  acts smallint[] := array_fill({updated}::smallint, ARRAY[cardinality(rids)]);
  replaced bigint[] := rids;
  targets bigint[];
BEGIN
  IF g_id IS NOT NULL THEN
    -- With another base URL, a reference may have become one to a resource of this server that never was.
    INSERT INTO resource (last_updated, version, type_id, deleted, id)
    SELECT date_trunc('milliseconds', clock_timestamp()), 0, g.type_id, true, g.id
    FROM unnest(g_type, g_id) AS g(type_id, id)
    WHERE NOT EXISTS (SELECT FROM resource AS r WHERE r.type_id = g.type_id AND r.id = g.id)
    ORDER BY g.type_id, g.id ON CONFLICT (type_id, id) DO NOTHING;
    SELECT array_agg(r.rid ORDER BY g.ord) INTO targets
    FROM unnest(g_type, g_id) WITH ORDINALITY AS g(type_id, id, ord)
    JOIN resource AS r ON r.type_id = g.type_id AND r.id = g.id;
  END IF;
{index_statements}
END
"""


def create() -> str:
    """The CREATE FUNCTION statement."""
    body = _BODY.format(
        variables=save_function.variables(_TARGETS),
        updated=save_function.UPDATED,
        index_statements=contained_statements.statements(anew=True),
    )
    parameters = ", ".join(f"{name} {kind}" for name, kind in _signature())
    return (
        f"CREATE FUNCTION {NAME} ({parameters}) RETURNS void LANGUAGE plpgsql "
        f"SET plan_cache_mode = force_generic_plan AS $careloop$ {body} $careloop$"
    )


def _signature() -> tuple[tuple[str, str], ...]:
    targets = tuple((save_function.argument_of(name, kind), type_of(kind)) for name, kind in _TARGETS)
    return (("rids", "bigint[]"), *targets, *contained_statements.signature())


_CALL = f"SELECT {NAME}({', '.join(f'${n}' for n in range(1, len(_signature()) + 1))})"

_START = """
INSERT INTO reindex (type_id, done, last, made_by)
SELECT t.type_id, 0, (SELECT coalesce(max(r.rid), 0) FROM resource AS r), $2 FROM unnest($1::smallint[]) AS t(type_id)
ON CONFLICT (type_id) DO UPDATE SET done = excluded.done, last = excluded.last, made_by = excluded.made_by
WHERE reindex.made_by <> excluded.made_by
"""
_LEFT = """
SELECT p.type_id, count(r.rid) FROM reindex AS p
JOIN resource AS r ON r.type_id = p.type_id AND r.rid > p.done AND r.rid <= p.last AND NOT r.deleted
WHERE p.type_id = ANY ($1::smallint[]) GROUP BY p.type_id
"""
_PLACE = "SELECT done, last FROM reindex WHERE type_id = $1 FOR UPDATE"
_BATCH = """
SELECT rid, id, version, last_updated, body FROM resource
WHERE type_id = $1 AND rid > $2 AND rid <= $3 ORDER BY rid LIMIT $4 FOR UPDATE
"""
_DONE = "UPDATE reindex SET done = $2 WHERE type_id = $1"
_FINISHED = "DELETE FROM reindex WHERE type_id = ANY ($1::smallint[])"


@dataclass(frozen=True, slots=True)
class Locked:
    """A resource that waits until the transaction ends."""

    rid: int
    stored: Stored


async def start(connection: Connection, types: Sequence[str], made_by: str) -> dict[str, int]:
    """Begin, or go on where rows of the same make were begun; returns how many resources are left of each type."""
    numbers = [TYPE_ID[name] for name in types]
    await connection.execute(_START, numbers, made_by)
    found = {row[0]: row[1] for row in await connection.fetch(_LEFT, numbers)}
    return {name: found.get(TYPE_ID[name], 0) for name in types}


async def lock_batch(connection: Connection, type_name: str, size: int) -> list[Locked]:
    """The next resources of the type, in a transaction; none when all are done."""
    place = await connection.fetchrow(_PLACE, TYPE_ID[type_name])
    if place is None:
        return []
    rows = await connection.fetch(_BATCH, TYPE_ID[type_name], *place, size)
    return [Locked(row[0], Stored(type_name, row[1], row[2], row[3], row[4])) for row in rows]


async def rewrite(connection: Connection, numbers: Numbers, made: Mapping[int, Indexed]) -> None:
    """Give resources, by rid, these index rows and no others, in the transaction in which they are locked."""
    if not made:
        return
    links = dict.fromkeys(link for _, links in made.values() for link in links or {})
    targets = {link: number for number, link in enumerate(links, 1)}
    columns = await index_arguments(list(made.values()), numbers, targets)
    await connection.execute(_CALL, list(made), *target_arguments(targets), *columns)


async def remember(connection: Connection, type_name: str, rid: int) -> None:
    """The resources of the type are done up to this one, once the transaction is committed."""
    await connection.execute(_DONE, TYPE_ID[type_name], rid)


async def finish(connection: Connection, types: Sequence[str]) -> None:
    """Forget the places: the next start begins anew."""
    await connection.execute(_FINISHED, [TYPE_ID[name] for name in types])
