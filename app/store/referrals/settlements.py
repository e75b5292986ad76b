"""How attempts to deliver ended: the delivery, its attempts, and the failures of its endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from app.store.connections import Connection
from app.store.referrals.outbox import State

FAILURES = 5
"""So many failures in a row open an endpoint's breaker."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an attempt ended. `delay` is how many seconds from now the next one may come, for a state of PENDING.

    `attempted` is False where nothing was tried, and so no attempt is noted.
    """

    id: int
    lease: UUID
    state: State
    outcome: str
    in_doubt: bool
    dialect: str
    remote: str | None
    delay: float
    attempted: bool
    started_at: datetime
    milliseconds: int
    endpoint_id: str
    used: str
    """The dialect of this attempt; `dialect` is that of the next one, blank where it is to be chosen anew."""
    http_status: int | None
    detail: str | None


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a delivery; a failed one is dead when its time is over."""

    id: int
    state: State
    next_at: datetime
    at: datetime


_SETTLE = """
WITH told AS (
  SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::boolean[], $6::text[], $7::text[],
                       $8::double precision[], $9::boolean[], $10::timestamptz[], $11::integer[], $12::text[],
                       $13::text[], $14::smallint[], $15::text[])
    AS t(id, lease, state, outcome, in_doubt, dialect, remote, delay, attempted, started_at, milliseconds,
         endpoint_id, used, http_status, detail)
), settled AS (
  UPDATE delivery AS d
  SET state = CASE WHEN t.state = 'pending' AND d.give_up_at <= statement_timestamp() THEN 'dead' ELSE t.state END,
      next_at = CASE WHEN t.state = 'pending' AND d.give_up_at > statement_timestamp()
                THEN least(statement_timestamp() + make_interval(secs => t.delay), d.give_up_at) ELSE d.next_at END,
      settled_at = CASE WHEN t.state <> 'pending' OR d.give_up_at <= statement_timestamp()
                   THEN statement_timestamp() END,
      outcome = t.outcome, in_doubt = t.in_doubt, dialect = t.dialect, remote = coalesce(t.remote, d.remote),
      lease = NULL, lease_until = NULL
  FROM told AS t WHERE d.id = t.id AND d.lease = t.lease AND d.state = 'pending'
  RETURNING d.id, d.state, d.next_at
), noted AS (
  INSERT INTO delivery_attempt
    (delivery_id, number, started_at, milliseconds, endpoint_id, dialect, outcome, http_status, detail, next_at)
  SELECT s.id, (SELECT coalesce(max(a.number), 0) + 1 FROM delivery_attempt AS a WHERE a.delivery_id = s.id),
         t.started_at, t.milliseconds, t.endpoint_id, t.used, t.outcome, t.http_status, t.detail,
         CASE WHEN s.state = 'pending' THEN s.next_at END
  FROM settled AS s JOIN told AS t ON t.id = s.id WHERE t.attempted
), calmed AS (
  UPDATE endpoint_state SET failures = 0, open_until = NULL
  WHERE endpoint_id = ANY ($16::text[]) AND (failures > 0 OR open_until IS NOT NULL)
)
SELECT s.id, s.state, s.next_at, statement_timestamp() FROM settled AS s
"""


async def settle(
    connection: Connection, settlements: Sequence[Settlement], working: Iterable[str] = ()
) -> dict[int, Settled]:
    """Note how attempts ended. Only deliveries that are still ours are in the answer; of the others nothing is noted.

    The breakers of the endpoints that were seen `working` are closed.
    """
    columns: list[list[object]] = [
        [one.id for one in settlements],
        [one.lease for one in settlements],
        [one.state.value for one in settlements],
        [one.outcome for one in settlements],
        [one.in_doubt for one in settlements],
        [one.dialect for one in settlements],
        [one.remote for one in settlements],
        [one.delay for one in settlements],
        [one.attempted for one in settlements],
        [one.started_at for one in settlements],
        [one.milliseconds for one in settlements],
        [one.endpoint_id for one in settlements],
        [one.used for one in settlements],
        [one.http_status for one in settlements],
        [one.detail for one in settlements],
    ]
    rows = await connection.fetch(_SETTLE, *columns, sorted(working))
    return {row[0]: Settled(row[0], State(row[1]), row[2], row[3]) for row in rows}


async def count_failures(connection: Connection, failures: Mapping[str, int], pause: float) -> None:
    """Count attempts in a row that failed. After FAILURES of them an endpoint's breaker is open for `pause` seconds."""
    names = sorted(failures)
    await connection.execute(
        """
        INSERT INTO endpoint_state AS s (endpoint_id, failures, open_until)
        SELECT n.endpoint_id, n.failures, CASE WHEN n.failures >= $3 THEN clock_timestamp() + $4::interval END
        FROM unnest($1::text[], $2::integer[]) AS n(endpoint_id, failures) ORDER BY n.endpoint_id
        ON CONFLICT (endpoint_id) DO UPDATE SET failures = s.failures + excluded.failures,
          open_until = CASE WHEN s.failures + excluded.failures >= $3 THEN clock_timestamp() + $4::interval
                       ELSE s.open_until END
        """,
        names,
        [failures[name] for name in names],
        FAILURES,
        timedelta(seconds=pause),
    )
