"""The Tasks of a sequence that were not answered in time, while another one waits behind them."""

from __future__ import annotations

from app.fhir.search.parameters import parameter
from app.store.connections import Connection
from app.store.referrals.worklist import unacknowledged


def _id(code: str) -> int:
    found = parameter("Task", code)
    if found is None:
        raise LookupError(f"There is no search parameter Task?{code}.")
    return found.id


_WAITS = (
    "SELECT FROM index_token AS g JOIN index_token AS h ON h.param_id = g.param_id AND h.code = g.code "
    "AND h.system_id = g.system_id AND h.rid <> g.rid "
    f"JOIN index_token AS s ON s.rid = h.rid AND s.param_id = {_id('status')} AND s.code = 'draft' "
    f"WHERE g.rid = r.rid AND g.param_id = {_id('group-identifier')}"
)


async def unanswered(connection: Connection, limit: int) -> list[str]:
    """The ids of Tasks that are `requested` for longer than their priority allows, and have one waiting behind them."""
    rows = await connection.fetch(
        f"SELECT r.id FROM ({unacknowledged(f'EXISTS ({_WAITS})')}) AS a(rid, code, since, due, number) "
        "JOIN resource AS r ON r.rid = a.rid ORDER BY r.rid LIMIT $1",
        limit,
    )
    return [row[0] for row in rows]
