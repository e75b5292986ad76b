"""The SQL function through which every write goes: `careloop_save`.

One call locks, checks preconditions and links, and writes the current rows, the versions and the index rows that
changed. It is a function because that is one round trip, and because under READ COMMITTED each of its statements sees
what was committed while the one before waited for a lock.

Changing the text means a new `VERSION` and a new migration: processes of two releases may run side by side.
"""

from __future__ import annotations

from collections.abc import Iterable

from app.store import contained_statements
from app.store.index_statements import NOTHING, array, type_of

VERSION = 3
NAME = f"careloop_save_{VERSION}"

# What a change expects to find (`c_expect`): a version number, or one of these.
FRESH, ANY, ABSENT, LIVE = 0, -1, -2, -3

# `acts` in the result, besides NOTHING.
CREATED, UPDATED, DELETED = 1, 2, 3

# resource_version.method
METHODS = {"POST": 1, "PUT": 2, "PATCH": 3, "DELETE": 4, "NOTE": 6}
PUT_THAT_CREATED = 5
# A NOTE is a PUT by which CareLoop writes on a resource what became of a message about it: nobody has changed it.

CHANGE_COLUMNS = (
    ("c_type", "smallint"),
    ("c_id", "text"),
    ("c_method", "smallint"),
    ("c_expect", "integer"),
    ("c_digest", "bytea"),
    ("c_body", "bytea"),
)
TARGET_COLUMNS = (("g_type", "smallint"), ("g_id", "text"), ("g_weak", "boolean"))

_BODY = """
DECLARE
{variables}
  fresh boolean := ({fresh} = ALL (c_expect));
  deletes boolean := ({delete} = ANY (c_method));
  olds integer[];
  existed boolean[];
  targets bigint[];
  replaced bigint[];
  bad bigint[];
  stamp timestamptz;
BEGIN
  -- The feed horizon counts transactions with an identifier: have one before taking the time.
  PERFORM pg_current_xact_id();

  -- A delete excludes writers that link to its resource; links to different resources rarely share a bucket.
  IF integrity AND (deletes OR g_id IS NOT NULL) THEN
    PERFORM CASE WHEN alone THEN pg_advisory_xact_lock(7265, bucket)
                 ELSE pg_advisory_xact_lock_shared(7265, bucket) END
    FROM (
      SELECT bucket, bool_or(alone) AS alone FROM (
        SELECT (hashtextextended(id, type_id) & 255)::integer AS bucket, false AS alone
        FROM unnest(g_type, g_id) AS g(type_id, id)
        UNION ALL
        SELECT (hashtextextended(id, type_id) & 255)::integer, true
        FROM unnest(c_type, c_id, c_method) AS c(type_id, id, method) WHERE method = {delete}
      ) AS wanted GROUP BY bucket ORDER BY bucket
    ) AS locks;
  END IF;

  IF fresh THEN
    rids := ARRAY(SELECT nextval('resource_rid_seq') FROM generate_series(1, cardinality(c_type)));
    stamp := date_trunc('milliseconds', clock_timestamp());
    SELECT array_agg(1), array_agg(stamp), array_agg({created}::smallint) INTO versions, stamps, acts
    FROM generate_series(1, cardinality(c_type));
    INSERT INTO resource (rid, last_updated, version, type_id, deleted, id, digest, body)
    SELECT rid, stamp, 1, type_id, false, id, digest, body
    FROM unnest(rids, c_type, c_id, c_digest, c_body) AS c(rid, type_id, id, digest, body);
    INSERT INTO resource_version (rid, last_updated, version, type_id, method, body)
    SELECT rid, stamp, 1, type_id, method, body
    FROM unnest(rids, c_type, c_method, c_body) AS c(rid, type_id, method, body);
  ELSE
    PERFORM 1 FROM resource AS r JOIN unnest(c_type, c_id) AS c(type_id, id) ON r.type_id = c.type_id AND r.id = c.id
    ORDER BY r.rid FOR UPDATE OF r;
    stamp := date_trunc('milliseconds', clock_timestamp());

    SELECT array_agg(coalesce(r.rid, nextval('resource_rid_seq')) ORDER BY c.ord),
           array_agg(r.rid IS NOT NULL ORDER BY c.ord),
           array_agg(coalesce(r.version, 0) ORDER BY c.ord),
           array_agg(CASE WHEN c.method = {delete} AND coalesce(r.deleted, true) THEN {nothing}
                          WHEN c.method = {delete} THEN {deleted}
                          WHEN r.rid IS NULL OR r.deleted THEN {created}
                          WHEN r.digest = c.digest THEN {nothing}
                          ELSE {updated} END ORDER BY c.ord)::smallint[],
           array_agg(coalesce(greatest(stamp, r.last_updated + interval '1 millisecond'), stamp) ORDER BY c.ord),
           array_agg(c.ord) FILTER (WHERE NOT CASE c.expect
             WHEN {fresh} THEN r.rid IS NULL
             WHEN {any} THEN true
             WHEN {absent} THEN r.rid IS NULL OR r.deleted
             WHEN {live} THEN NOT coalesce(r.deleted, true)
             ELSE NOT coalesce(r.deleted, true) AND r.version = c.expect END)
    INTO rids, existed, olds, acts, stamps, bad
    FROM unnest(c_type, c_id, c_method, c_expect, c_digest) WITH ORDINALITY
      AS c(type_id, id, method, expect, digest, ord)
    LEFT JOIN resource AS r ON r.type_id = c.type_id AND r.id = c.id;
    IF bad IS NOT NULL THEN
      RAISE EXCEPTION 'precondition' USING ERRCODE = 'CL412', DETAIL = array_to_string(bad, ',');
    END IF;

    SELECT array_agg(CASE act WHEN {nothing} THEN old ELSE old + 1 END ORDER BY ord),
           array_agg(rid) FILTER (WHERE old_row AND act <> {nothing})
    INTO versions, replaced
    FROM unnest(rids, olds, acts, existed) WITH ORDINALITY AS c(rid, old, act, old_row, ord);

    INSERT INTO resource (rid, last_updated, version, type_id, deleted, id, digest, body)
    SELECT rid, at, version, type_id, false, id, digest, body
    FROM unnest(rids, stamps, versions, c_type, c_id, c_digest, c_body, acts, existed)
      AS c(rid, at, version, type_id, id, digest, body, act, old_row)
    WHERE act = {created} AND NOT old_row;

    UPDATE resource AS r
    SET last_updated = c.at, version = c.version, deleted = (c.act = {deleted}), digest = c.digest, body = c.body
    FROM unnest(rids, stamps, versions, c_digest, c_body, acts, existed)
      AS c(rid, at, version, digest, body, act, old_row)
    WHERE r.rid = c.rid AND c.act <> {nothing} AND c.old_row;

    INSERT INTO resource_version (rid, last_updated, version, type_id, method, body)
    SELECT rid, at, version, type_id,
           CASE WHEN act = {created} AND method = {put} THEN {put_created} ELSE method END, body
    FROM unnest(rids, stamps, versions, c_type, c_method, c_body, acts)
      AS c(rid, at, version, type_id, method, body, act)
    WHERE act <> {nothing};

    -- An unchanged resource is answered with what is stored.
    SELECT array_agg(CASE act WHEN {nothing} THEN coalesce(r.last_updated, at) ELSE at END ORDER BY ord) INTO stamps
    FROM unnest(rids, stamps, acts) WITH ORDINALITY AS c(rid, at, act, ord)
    LEFT JOIN resource AS r ON r.rid = c.rid AND c.act = {nothing};
  END IF;

  IF g_id IS NOT NULL THEN
    SELECT array_agg(r.rid ORDER BY g.ord), array_agg(g.ord) FILTER (WHERE r.rid IS NULL) INTO targets, bad
    FROM unnest(g_type, g_id, g_weak) WITH ORDINALITY AS g(type_id, id, weak, ord)
    LEFT JOIN resource AS r ON r.type_id = g.type_id AND r.id = g.id
      AND (NOT integrity OR NOT r.deleted OR (g.weak AND r.version > 0));
    IF bad IS NOT NULL AND integrity THEN
      RAISE EXCEPTION 'link' USING ERRCODE = 'CL409', DETAIL = array_to_string(bad, ',');
    ELSIF bad IS NOT NULL THEN
      INSERT INTO resource (last_updated, version, type_id, deleted, id)
      SELECT stamp, 0, g_type[o], true, g_id[o] FROM unnest(bad) AS b(o) ORDER BY 3, 5
      ON CONFLICT (type_id, id) DO NOTHING;
      SELECT array_agg(r.rid ORDER BY g.ord) INTO targets
      FROM unnest(g_type, g_id) WITH ORDINALITY AS g(type_id, id, ord)
      JOIN resource AS r ON r.type_id = g.type_id AND r.id = g.id;
    END IF;
  END IF;
{index_statements}
  IF integrity AND deletes THEN
    SELECT array_agg(c.ord) INTO bad
    FROM unnest(rids, acts) WITH ORDINALITY AS c(rid, act, ord)
    WHERE act = {deleted} AND EXISTS (
      SELECT FROM index_reference AS i WHERE i.target_rid = c.rid AND NOT i.weak AND i.rid <> c.rid);
    IF bad IS NOT NULL THEN
      RAISE EXCEPTION 'referenced' USING ERRCODE = 'CL410', DETAIL = array_to_string(bad, ',');
    END IF;
  END IF;
END
"""


def signature() -> tuple[tuple[str, str], ...]:
    """Every argument in order, with its type. `integrity boolean` follows."""
    changes = tuple((argument_of(name, kind), type_of(kind)) for name, kind in CHANGE_COLUMNS + TARGET_COLUMNS)
    return changes + contained_statements.signature()


def argument_of(name: str, kind: str) -> str:
    """The argument for a column; one that travels as an array is its own variable."""
    return name if type_of(kind).endswith("[]") else f"{name}s"


def variables(columns: Iterable[tuple[str, str]]) -> str:
    """The declarations of variables for the columns that travel as texts."""
    return "\n".join(
        f"  {name} {kind}[] := {array(argument_of(name, kind), kind)};"
        for name, kind in columns
        if argument_of(name, kind) != name
    )


def create() -> str:
    """The CREATE FUNCTION statement."""
    body = _BODY.format(
        variables=variables(CHANGE_COLUMNS + TARGET_COLUMNS),
        index_statements=contained_statements.statements(),
        fresh=FRESH,
        any=ANY,
        absent=ABSENT,
        live=LIVE,
        nothing=NOTHING,
        created=CREATED,
        updated=UPDATED,
        deleted=DELETED,
        delete=METHODS["DELETE"],
        put=METHODS["PUT"],
        put_created=PUT_THAT_CREATED,
    )
    parameters = ", ".join(f"{name} {kind}" for name, kind in signature())
    return (
        f"CREATE FUNCTION {NAME} ({parameters}, integrity boolean, OUT rids bigint[], OUT versions integer[], "
        "OUT stamps timestamptz[], OUT acts smallint[]) LANGUAGE plpgsql "
        f"SET plan_cache_mode = force_generic_plan AS $careloop$ {body} $careloop$"
    )


def call() -> str:
    """The statement that calls the function with positional arguments."""
    count = len(signature()) + 1
    return f"SELECT * FROM {NAME}({', '.join(f'${n}' for n in range(1, count + 1))})"
