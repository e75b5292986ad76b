"""The last observations of each code: one statement over the matches of a search."""

from __future__ import annotations

from app.fhir.search.parameters import parameters
from app.fhir.search.query import Query
from app.store.connections import Connection
from app.store.numbers import TYPE_NAME, Numbers
from app.store.predicate import Predicate
from app.store.resources import Stored
from app.store.search.conditions import where
from app.store.search.known import scope_for
from app.store.search.page import Match


async def last(
    connection: Connection, numbers: Numbers, query: Query, visible: Predicate, *, each: int, limit: int
) -> list[Match]:
    """Up to `limit` matches: of every code the `each` most recent by effective time, the newest of a code first.

    An Observation with several codes counts for all of them and stands once. One without a code is grouped by its text;
    one without a time comes last.
    """
    scope = await scope_for(connection, numbers, visible, query.conditions)
    code, date = (scope.bind(parameters("Observation")[name].id) for name in ("code", "date"))
    rows = await connection.fetch(
        "WITH matches AS MATERIALIZED (SELECT r.rid, (SELECT max(d.lo) FROM index_date AS d "
        f"WHERE d.rid = r.rid AND d.param_id = {date}) AS at FROM resource AS r WHERE {where(scope, query)}), "
        "coded AS (SELECT m.rid, m.at, i.system_id, i.code, CASE WHEN i.code = '' THEN i.display_id END AS text_id, "
        "bool_or(i.code <> '') OVER (PARTITION BY m.rid) AS has_code "
        f"FROM matches AS m LEFT JOIN index_token AS i ON i.rid = m.rid AND i.param_id = {code}), "
        "ranked AS (SELECT c.*, row_number() OVER (PARTITION BY c.system_id, c.code, c.text_id "
        "ORDER BY c.at DESC NULLS LAST, c.rid DESC) AS place FROM coded AS c "
        "WHERE c.code <> '' OR c.has_code IS NOT TRUE), "
        "shown AS (SELECT DISTINCT ON (k.rid) k.* FROM ranked AS k "
        f"WHERE k.place <= {scope.bind(each)} ORDER BY k.rid, k.code, k.system_id) "
        "SELECT r.rid, r.type_id, r.id, r.version, r.last_updated, r.body FROM shown AS s "
        "JOIN resource AS r ON r.rid = s.rid "
        f"ORDER BY s.code, s.system_id, s.text_id, s.at DESC NULLS LAST, s.rid DESC LIMIT {limit:d}",
        *scope.arguments,
    )
    return [Match(row[0], Stored(TYPE_NAME[row[1]], *row[2:6])) for row in rows]
