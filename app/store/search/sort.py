"""The order of the matches: the columns a search is sorted by, and where they come from.

https://hl7.org/fhir/R4/search.html#sort. Resources without a value come last, in either direction; of several values
the least counts when ascending, the greatest when descending; between equals decides the order of creation, in the
direction of the first key. A date is where it begins; if it is the only key, the shorter of two that begin together is
less. The first key is walked along its index as far as a page needs. Further keys, and the
targets of references, are looked up per match.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.fhir.search.cursor import Place
from app.fhir.search.parameters import Kind, SearchParameter
from app.fhir.search.query import Sort
from app.store.numbers import TYPE_ID, TYPE_NAME
from app.store.search.scope import Scope
from app.store.search.strings import WHOLE


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an order: an expression and its SQL type; `optional` when it may be NULL, which is last."""

    text: str
    type: str
    descending: bool
    optional: bool = False


RID = Column("r.rid", "bigint", descending=False)
"""The order of creation."""


@dataclass(frozen=True, slots=True)
class Values:
    """Where a kind has its values: a table, the columns that order them, the first deciding, and which rows count."""

    table: str
    columns: tuple[tuple[str, str], ...]
    counted: str = ""

    def rows(self, alias: str, parameter: str) -> str:
        """The condition on a row that it is a value of the parameter: a number, or several with commas."""
        test = f"{alias}.param_id IN ({parameter})" if "," in parameter else f"{alias}.param_id = {parameter}"
        return test + (f" AND {alias}.{self.counted}" if self.counted else "")


VALUES = {
    Kind.STRING: Values("index_string", (("value", "text"),), WHOLE),
    Kind.TOKEN: Values("index_token", (("code", "text"),), "code > ''"),  # without a code are texts of concepts
    Kind.URI: Values("index_uri", (("value", "text"),)),
    Kind.DATE: Values("index_date", (("lo", "bigint"), ("hi", "bigint"))),
    Kind.NUMBER: Values("index_number", (("lo", "numeric"),)),
    Kind.QUANTITY: Values("index_quantity", (("lo", "numeric"),)),
}
RESOURCE_COLUMNS = {"id": ("r.id", "text"), "last_updated": ("r.last_updated", "timestamptz")}
_TYPE_NAMES = [TYPE_NAME[number] for number in range(1, len(TYPE_NAME) + 1)]


def ids(parameter: SearchParameter) -> str:
    return ", ".join(map(str, parameter.rows_of))


def looked_up(scope: Scope, sort: Sort) -> Column:
    """The key as an expression on the resource row `r`."""
    parameter = sort.parameter
    if parameter.column:
        return Column(*RESOURCE_COLUMNS[parameter.column], sort.descending)
    choose = "max" if sort.descending else "min"
    if parameter.kind is Kind.REFERENCE:
        text = f"(SELECT {choose}(v.target) FROM ({_targets(scope, parameter)}) AS v)"
        return Column(text, "text", sort.descending, optional=True)
    values = VALUES[parameter.kind]
    name, kind = values.columns[0]
    rows = f"FROM {values.table} AS i WHERE i.rid = r.rid AND {values.rows('i', ids(parameter))}"
    return Column(f"(SELECT {choose}(i.{name}) {rows})", kind, sort.descending, optional=True)


def _targets(scope: Scope, parameter: SearchParameter) -> str:
    """What a reference leads to: `Type/id` on this server, else the URL.

    The target need not be visible: its id stands in the resource itself.
    """
    only = parameter.target_type
    of_type = f" AND t.type_id = {TYPE_ID[only]}" if only else ""
    of_path = f" AND i.value LIKE '%/{only}/%'" if only else ""
    names = scope.bind(_TYPE_NAMES)
    return (
        f"""SELECT ({names}::text[])[t.type_id] || '/' || t.id COLLATE "C" AS target """
        f"FROM index_reference AS i JOIN resource AS t ON t.rid = i.target_rid "
        f"WHERE i.rid = r.rid AND i.target_rid > 0 AND i.param_id IN ({ids(parameter)}){of_type} UNION ALL "
        f"SELECT i.value FROM index_uri AS i WHERE i.rid = r.rid AND i.param_id IN ({ids(parameter)}){of_path}"
    )


def foremost(sort: Sort, values: Values) -> str:
    """The condition on a row `s` that it is the least value of its resource, or the greatest when descending.

    Equal values are told apart by where their rows stand. With OFFSET the planner asks row by row, so that it can walk
    the index and stop.
    """
    names = [*(name for name, _ in values.columns), "ctid"]
    other, this = (", ".join(f"{alias}.{name}" for name in names) for alias in ("o", "s"))
    before = f"({other}) {'>' if sort.descending else '<'} ({this})"
    rows = f"o.rid = s.rid AND {values.rows('o', ids(sort.parameter))}"
    return f"NOT EXISTS (SELECT FROM {values.table} AS o WHERE {rows} AND {before} OFFSET 0)"


def order_by(columns: Sequence[Column], *, backward: bool) -> str:
    """The columns as ORDER BY names them. Where there are no NULLs nothing is said of them, to fit the indexes."""
    return ", ".join(f"{column.text} {_direction(column, backward=backward)}" for column in columns)


def _direction(column: Column, *, backward: bool) -> str:
    nulls = (" NULLS FIRST" if backward else " NULLS LAST") if column.optional else ""
    return ("DESC" if column.descending is not backward else "ASC") + nulls


def beyond(scope: Scope, columns: Sequence[Column], place: Place) -> str:
    """The condition on the columns that a row lies beyond the place; the last column is the rid.

    Where one comparison of rows says it all, an index can begin there. Otherwise the first column gets a comparison of
    its own, with which the index can begin near.
    """
    given = (*place.keys[len(place.keys) + 1 - len(columns) :], place.rid)
    bound = [
        None if value is None else f"{scope.bind(value)}::{column.type}"
        for column, value in zip(columns, given, strict=True)
    ]
    if len({column.descending for column in columns}) == 1 and not any(column.optional for column in columns):
        return _as_rows(columns, [value or "" for value in bound], place)
    either = " OR ".join(f"({' AND '.join(test)})" for test in _in_turn(columns, bound, place))
    first, value = columns[0], bound[0]
    if first.optional or value is None:
        return f"({either})"
    return f"{first.text} {_sign(first, place)}= {value} AND ({either})"


def _as_rows(columns: Sequence[Column], bound: Sequence[str], place: Place) -> str:
    sign = _sign(columns[0], place) + ("=" if place.inclusive else "")
    return f"({', '.join(column.text for column in columns)}) {sign} ({', '.join(bound)})"


def _sign(column: Column, place: Place) -> str:
    return "<" if column.descending is not place.backward else ">"


def _in_turn(columns: Sequence[Column], bound: Sequence[str | None], place: Place) -> list[list[str]]:
    """One list of tests for each column that may be the first to differ, and one for equality of all if inclusive."""
    found: list[list[str]] = []
    same: list[str] = []
    for column, value in zip(columns, bound, strict=True):
        found.append([*same, _differs(column, value, place)])
        same.append(f"{column.text} IS NULL" if value is None else f"{column.text} = {value}")
    return [*found, same] if place.inclusive else found


def _differs(column: Column, value: str | None, place: Place) -> str:
    if value is None:
        return f"{column.text} IS NOT NULL" if place.backward else "false"
    test = f"{column.text} {_sign(column, place)} {value}"
    return f"({test} OR {column.text} IS NULL)" if column.optional and not place.backward else test
