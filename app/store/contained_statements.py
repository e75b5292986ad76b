"""The SQL that keeps rows for contained resources, around the statements that write index rows.

A contained resource to which a chain may lead is a row of `resource` that nothing else finds: it has no version, its
rid is below zero, and its id is a key that stands for its content (`app/fhir/search/contained.py`). Resources that
contain the same share it, and it stays as long as one of them leads to it.
"""

from __future__ import annotations

from app.store import index_statements
from app.store.index_statements import NOTHING, array, type_of
from app.store.tables import INDEX_TABLES

COLUMNS = (("contained_type", "smallint"), ("contained_id", "text"))

_MADE = 1  # in `acts`: anything but NOTHING

# Those that are held stay until this transaction ends; one that another transaction is removing is made again. All that
# may go is locked in one order with what is held, or two that exchange what they contain would wait for each other. A
# statement after the locks sees who leads there by now.
_AROUND = """
  DECLARE
    types smallint[];
    keys text[];
    held bigint[];
    added bigint[];
    dropped bigint[];
    every boolean := contained_id IS NULL;
  BEGIN
  IF contained_id IS NOT NULL THEN
    types := {types};
    keys := {keys};
  END IF;
  IF replaced IS NOT NULL THEN
    SELECT array_agg(DISTINCT i.target_rid) INTO dropped
    FROM index_reference AS i JOIN resource AS r ON r.rid = i.target_rid
    WHERE i.rid = ANY (replaced) AND i.target_rid < 0
      AND NOT EXISTS (SELECT FROM unnest(types, keys) AS c(type_id, id) WHERE c.type_id = r.type_id AND c.id = r.id);
  END IF;
  IF keys IS NOT NULL THEN
    LOOP
      WITH made AS (
        INSERT INTO resource (rid, last_updated, version, type_id, deleted, id)
        SELECT -nextval('resource_rid_seq'), date_trunc('milliseconds', clock_timestamp()), 0, c.type_id, true, c.id
        FROM unnest(types, keys) AS c(type_id, id)
        WHERE NOT EXISTS (SELECT FROM resource AS r WHERE r.type_id = c.type_id AND r.id = c.id)
        ORDER BY c.type_id, c.id ON CONFLICT (type_id, id) DO NOTHING RETURNING rid)
      SELECT added || array_agg(rid) INTO added FROM made;
      IF dropped IS NOT NULL THEN
        PERFORM 1 FROM resource WHERE rid = ANY (dropped || ARRAY(
          SELECT r.rid FROM unnest(types, keys) AS c(type_id, id)
          JOIN resource AS r ON r.type_id = c.type_id AND r.id = c.id)) ORDER BY rid FOR UPDATE;
      END IF;
      SELECT array_agg(rid ORDER BY ord) INTO held FROM (
        SELECT r.rid, c.ord FROM unnest(types, keys) WITH ORDINALITY AS c(type_id, id, ord)
        JOIN resource AS r ON r.type_id = c.type_id AND r.id = c.id ORDER BY r.rid FOR KEY SHARE OF r) AS t;
      EXIT WHEN cardinality(held) = cardinality(keys);
    END LOOP;
{anew}
    rids := rids || held;
    targets := targets || held;
    acts := acts || ARRAY(
      SELECT CASE WHEN {whether} THEN {made} ELSE {nothing} END FROM unnest(held) WITH ORDINALITY AS h(rid, ord)
      ORDER BY ord)::smallint[];
  ELSIF dropped IS NOT NULL THEN
    PERFORM 1 FROM resource WHERE rid = ANY (dropped) ORDER BY rid FOR UPDATE;
  END IF;
{statements}
  IF held IS NOT NULL THEN
    rids := rids[1:cardinality(rids) - cardinality(held)];
    acts := acts[1:cardinality(acts) - cardinality(held)];
  END IF;
  IF dropped IS NOT NULL THEN
    WITH gone AS (
      DELETE FROM resource AS r WHERE r.rid = ANY (dropped) AND NOT EXISTS (
        SELECT FROM index_reference AS i WHERE i.target_rid = r.rid AND i.rid > 0) RETURNING r.rid)
    SELECT array_agg(rid) INTO dropped FROM gone;
{deletions}
  END IF;
  END;
"""

# Two that make the same rows anew take turns.
_ANEW = """
    PERFORM 1 FROM resource WHERE rid = ANY (held) ORDER BY rid FOR NO KEY UPDATE;
    replaced := replaced || held;
"""


def signature() -> tuple[tuple[str, str], ...]:
    """The arguments with their types: contained resources, then what the statements for index rows take."""
    return (*((name, type_of(kind)) for name, kind in COLUMNS), *index_statements.signature())


def statements(*, anew: bool = False) -> str:
    """What writes index rows, also those of contained resources: of new ones, or with `anew` of all.

    While it does, contained resources stand behind the others in `rids`, `acts` and `targets`.
    """
    types, keys = (array(name, kind) for name, kind in COLUMNS)
    return _AROUND.format(
        types=types,
        keys=keys,
        anew=_ANEW if anew else "",
        whether="true" if anew else "rid = ANY (added)",
        made=_MADE,
        nothing=NOTHING,
        statements=index_statements.statements(),
        deletions="\n".join(f"    DELETE FROM {table.name} WHERE rid = ANY (dropped);" for table in INDEX_TABLES),
    )
