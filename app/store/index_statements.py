"""The SQL that writes index rows, made from `INDEX_TABLES`: the common part of the functions that save and reindex.

Index rows travel column by column. The function around the statements has these variables: `rids` and `acts`, of each
resource; `replaced`, the rids that may have index rows already; `fresh`, whether none has; `every`, whether `acts` has
no NOTHING then; `targets`, the rids of what the resources refer to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.store.tables import INDEX_TABLES, IndexTable

NOTHING = 0
"""What `acts` says of a resource whose index rows stay as they are."""

_STATEMENTS = """
  IF fresh THEN
    IF {of} IS NULL THEN
    ELSIF every THEN
      INSERT INTO {table} (rid, {columns}) SELECT {values} FROM {rows};
    ELSE
      INSERT INTO {table} (rid, {columns}) SELECT {values} FROM {rows} WHERE acts[n.of] <> {nothing};
    END IF;
  ELSE
    IF replaced IS NOT NULL THEN
      DELETE FROM {table} AS i WHERE i.rid = ANY (replaced) AND NOT EXISTS (
        SELECT FROM {rows} WHERE rids[n.of] = i.rid AND ({values_only}) IS NOT DISTINCT FROM ({old_columns}));
    END IF;
    IF {of} IS NOT NULL THEN
      INSERT INTO {table} (rid, {columns})
      SELECT {values} FROM {rows} WHERE acts[n.of] <> {nothing}
      EXCEPT SELECT rid, {columns} FROM {table} WHERE rid = ANY (replaced);
    END IF;
  END IF;
"""

# Most columns travel as one text: the driver takes longer over the elements of an array than PostgreSQL over the text.
# FHIR strings hold no control characters, so these two can stand between texts, and for one that is missing.
_SEPARATOR, _NONE = "\x1f", "\x1e"
_NUMBERS = "string_to_array({name}, ',', '')::{kind}[]"
_TEXTS = r"CASE {name} WHEN '' THEN ARRAY[''] ELSE string_to_array({name}, E'\x1f', E'\x1e') END"
_JOINED: Mapping[str, str] = {
    **dict.fromkeys(("smallint", "integer", "bigint", "numeric"), _NUMBERS),
    "text": _TEXTS,
    "tsvector": r"string_to_array({name}, E'\x1f')::tsvector[]",
}


def type_of(kind: str) -> str:
    """The SQL type of an argument that holds a column of this kind."""
    return "text" if kind in _JOINED else f"{kind}[]"


def array(name: str, kind: str) -> str:
    """The SQL expression for the array in an argument."""
    return _JOINED[kind].format(name=name, kind=kind) if kind in _JOINED else name


def argument(kind: str, column: Sequence[Any]) -> Any:
    """The value of an argument for a column that is not empty. Only columns of numbers and texts may hold None."""
    if kind not in _JOINED:
        return column
    if _JOINED[kind] is _NUMBERS:
        return ",".join(["" if v is None else str(v) for v in column] if None in column else map(str, column))
    return _SEPARATOR.join([_NONE if v is None else v for v in column] if None in column else column)


def arguments(table: IndexTable) -> tuple[tuple[str, str], ...]:
    """The arguments for one index table: the ordinal of the change, then a column each, with the type of an element.

    Where a column is the rid of a target, the argument is the ordinal of the target.
    """
    short = table.name.removeprefix("index_")
    columns = ((f"{short}_{name}", "integer" if name == "target_rid" else kind) for name, kind in table.columns)
    return ((f"{short}_of", "integer"), *columns)


def signature() -> tuple[tuple[str, str], ...]:
    """The arguments for all index tables in order, each with its type."""
    return tuple((name, type_of(kind)) for table in INDEX_TABLES for name, kind in arguments(table))


def statements() -> str:
    return "".join(map(_of_table, INDEX_TABLES))


def _of_table(table: IndexTable) -> str:
    names = [name for name, _ in table.columns]
    values = ", ".join("targets[n.target_rid]" if name == "target_rid" else f"n.{name}" for name in names)
    args = ", ".join(array(name, kind) for name, kind in arguments(table))
    return _STATEMENTS.format(
        table=table.name,
        of=arguments(table)[0][0],
        columns=", ".join(names),
        values=f"rids[n.of], {values}",
        values_only=values,
        old_columns=", ".join(f"i.{name}" for name in names),
        rows=f"unnest({args}) AS n(of, {', '.join(names)})",
        nothing=NOTHING,
    )
