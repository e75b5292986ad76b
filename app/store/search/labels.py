"""The profiles, tags and security labels in use.

They are few, and resources are many: each is found by one step along the index to the next, not by reading all rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.fhir.search.parameters import parameter
from app.store.connections import Connection
from app.store.numbers import Numbers
from app.store.predicate import Predicate
from app.store.search.scope import Scope

# In this form the planner neither joins all rows at once nor reads the table from its start.
_VISIBLE = (
    "(SELECT true FROM {table} AS i JOIN resource AS r ON r.rid = i.rid "
    "WHERE {same} AND NOT r.deleted AND {seen} ORDER BY i.rid LIMIT 1)"
)


async def profiles(
    connection: Connection, numbers: Numbers, types: Sequence[str], visible: Predicate, *, limit: int
) -> list[str]:
    """Up to `limit` profiles that resources of the types claim to conform to, in order."""
    scope = Scope(numbers, visible)
    known = _steps(scope, "index_uri", "value", _row_ids(types, "_profile"))
    test = _VISIBLE.format(table="index_uri", same="i.param_id = k.param_id AND i.value = k.value", seen=scope.seen())
    rows = await connection.fetch(
        f"{known} SELECT DISTINCT k.value FROM k WHERE k.value IS NOT NULL AND {test} ORDER BY k.value LIMIT {limit:d}",
        *scope.arguments,
    )
    return [row[0] for row in rows]


async def codings(
    connection: Connection, numbers: Numbers, types: Sequence[str], code: str, visible: Predicate, *, limit: int
) -> list[tuple[str | None, str]]:
    """System and code of up to `limit` labels that resources of the types have: those of `_tag` or of `_security`."""
    scope = Scope(numbers, visible)
    known = _steps(scope, "index_token", "code", _row_ids(types, code))
    same = "i.param_id = c.param_id AND i.code = c.value AND i.system_id = c.system_id"
    test = _VISIBLE.format(table="index_token", same=same, seen=scope.seen())
    rows = await connection.fetch(
        f"{known} SELECT DISTINCT s.uri, c.value FROM (SELECT k.param_id, k.value, a.system_id "
        "FROM k CROSS JOIN LATERAL (SELECT DISTINCT i.system_id FROM index_token AS i "
        "WHERE i.param_id = k.param_id AND i.code = k.value OFFSET 0) AS a WHERE k.value <> '') AS c "
        f"LEFT JOIN system AS s ON s.id = c.system_id WHERE {test} ORDER BY 1 NULLS FIRST, 2 LIMIT {limit:d}",
        *scope.arguments,
    )
    return [(row[0], row[1]) for row in rows]


def _row_ids(types: Sequence[str], code: str) -> list[int]:
    found = (parameter(name, code) for name in types)
    return [number for each in found if each is not None for number in each.rows_of]


def _steps(scope: Scope, table: str, column: str, params: list[int]) -> str:
    """All values `k` of a column under each of the parameters; the last of each is NULL."""
    least = f"SELECT min(i.{column}) FROM {table} AS i WHERE i.param_id ="
    return (
        f"WITH RECURSIVE k AS (SELECT p.param_id, ({least} p.param_id) AS value "
        f"FROM unnest({scope.bind(params)}::smallint[]) AS p(param_id) UNION ALL "
        f"SELECT k.param_id, ({least} k.param_id AND i.{column} > k.value) FROM k WHERE k.value IS NOT NULL)"
    )
