"""The SQL function with which a worker takes deliveries in hand: `careloop_claim`.

It is a function because a claim must first lock the endpoints concerned and then, in a statement that begins after the
lock was had, count what is in hand: two workers that count at the same time would exceed an endpoint's concurrency.
One call is one transaction of its own, so that a worker that stops in the middle holds nothing.

Changing the text means a new `VERSION` and a new migration: processes of two releases may run side by side.
"""

from __future__ import annotations

VERSION = 1
NAME = f"careloop_claim_{VERSION}"

_LOCK = 7268

# What may be claimed of the deliveries `d` at the time `moment`. A lease that ran out stays in its row, so that whoever
# takes the delivery over knows that somebody may have sent it. Within a referral and endpoint the identifiers grow in
# the order of commits, because those who write them hold the referral's lock (`interactions/governance.py`).
# `min` is not NOT EXISTS, and what waits is below infinity, so that no statistics make the planner walk the whole queue
# for each delivery (the predicates of the indexes in `tables.py` leave it one for each condition).
_WAITS = "d.state = 'pending' AND d.next_at < 'infinity'"
_DUE = f"""
      d.endpoint_id = e.endpoint_id AND {_WAITS} AND d.next_at <= moment
      AND (d.lease_until IS NULL OR d.lease_until <= moment)
      AND d.id = (SELECT min(p.id) FROM delivery AS p WHERE p.referral = d.referral
                  AND p.endpoint_id = d.endpoint_id AND p.state = 'pending')
"""

# How many more deliveries the endpoint `e` may get. Those that whoever claims has `done` are only still to be settled:
# nothing is sent for them any more. While its breaker is not closed, one at a time is a probe, until that is settled.
_ROOM = """
      (SELECT CASE WHEN s.open_until IS NULL THEN most - count(*) FILTER (WHERE h.id <> ALL (done))
                   WHEN s.open_until <= moment THEN 1 - count(*) ELSE 0 END
       FROM delivery AS h WHERE h.endpoint_id = e.endpoint_id AND h.lease IS NOT NULL
         AND h.state = 'pending' AND h.lease_until > moment)
"""

_BODY = """
#variable_conflict use_column
DECLARE
  moment timestamptz := clock_timestamp();
  mine text[];
BEGIN
  WITH RECURSIVE waiting AS (
    (SELECT d.endpoint_id FROM delivery AS d WHERE {waits} ORDER BY d.endpoint_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.endpoint_id FROM delivery AS d WHERE {waits} AND d.endpoint_id > w.endpoint_id
            ORDER BY d.endpoint_id LIMIT 1)
    FROM waiting AS w WHERE w.endpoint_id IS NOT NULL
  ), ready AS MATERIALIZED (
    SELECT e.endpoint_id FROM waiting AS e LEFT JOIN endpoint_state AS s ON s.endpoint_id = e.endpoint_id
    CROSS JOIN LATERAL (SELECT d.next_at FROM delivery AS d WHERE {due} ORDER BY d.next_at LIMIT 1) AS oldest
    WHERE {room} > 0
    ORDER BY oldest.next_at LIMIT wanted
  )
  SELECT array_agg(r.endpoint_id) INTO mine FROM ready AS r
  WHERE pg_try_advisory_xact_lock({lock}, hashtext(r.endpoint_id));
  IF mine IS NULL THEN
    RETURN;
  END IF;

  moment := clock_timestamp();
  RETURN QUERY
  WITH picked AS (
    SELECT c.id, c.lease IS NOT NULL AS abandoned, c.lease_until,
           CASE WHEN s.probed_at > moment - interval '7 days' THEN s.dialect END AS remembered,
           s.next_poll_at IS NOT NULL AS is_polled
    FROM unnest(mine) AS e(endpoint_id) LEFT JOIN endpoint_state AS s ON s.endpoint_id = e.endpoint_id
    CROSS JOIN LATERAL (
      SELECT d.id, d.next_at, d.lease, d.lease_until FROM delivery AS d WHERE {due}
      ORDER BY d.next_at, d.id LIMIT greatest(0, {room}) FOR UPDATE SKIP LOCKED
    ) AS c
    ORDER BY c.next_at, c.id LIMIT wanted
  ), taken AS (
    UPDATE delivery AS d
    SET lease = token, lease_until = moment + make_interval(secs => seconds), attempts = d.attempts + 1,
        in_doubt = d.in_doubt OR p.abandoned
    FROM picked AS p WHERE d.id = p.id
    RETURNING d.id, d.message_id, d.referral, d.task_id, d.kind, d.endpoint_id, d.dialect, d.in_doubt, d.attempts,
              p.remembered, p.is_polled, p.abandoned, p.lease_until
  ), lost AS (
    INSERT INTO delivery_attempt (delivery_id, number, started_at, milliseconds, endpoint_id, dialect, outcome, detail)
    SELECT t.id, (SELECT coalesce(max(a.number), 0) + 1 FROM delivery_attempt AS a WHERE a.delivery_id = t.id),
           t.lease_until, 0, t.endpoint_id, t.dialect, 'lost', 'The worker that made this attempt disappeared.'
    FROM taken AS t WHERE t.abandoned
  )
  SELECT t.id, t.message_id, t.referral, t.task_id, t.kind, t.endpoint_id, t.dialect, t.in_doubt, t.attempts,
         t.remembered, t.is_polled, moment
  FROM taken AS t ORDER BY t.id;
END
"""


def create() -> str:
    """The CREATE FUNCTION statement."""
    body = _BODY.format(waits=_WAITS, due=_DUE, room=_ROOM, lock=_LOCK)
    return (
        f"CREATE FUNCTION {NAME} (token uuid, seconds double precision, wanted integer, most integer, done bigint[]) "
        "RETURNS TABLE "
        "(id bigint, message_id uuid, referral text, task_id text, kind text, endpoint_id text, dialect text, "
        "in_doubt boolean, attempts integer, remembered text, is_polled boolean, at timestamptz) "
        f"LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $careloop$ {body} $careloop$"
    )


CALL = f"SELECT * FROM {NAME}($1, $2, $3, $4, $5)"
