"""The plans of the statements that a search runs, in our own words.

EXPLAIN prints the values of a search in its conditions. They are never passed on: of a condition only the names of
columns are told, which are ours, and the ids of search parameters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from app.fhir.search.plans import Statement, Step, Use
from app.store.connections import Connection
from app.store.tables import INDEX_TABLES, ResourceRow

Node = Mapping[str, Any]

# To explain is to run: only what reads, and what explains nothing itself.
_READS = ("SELECT", "(SELECT", "WITH")
_EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "

# What each type of node does; the others are told as PostgreSQL calls them.
_DOES = {
    "Seq Scan": "Reads the whole table",
    "Index Scan": "Reads rows of",
    "Index Only Scan": "Reads the index of",
    "Bitmap Index Scan": "Collects the places of rows of",
    "Bitmap Heap Scan": "Reads the collected places of",
    "BitmapAnd": "Keeps the places that all collections have",
    "BitmapOr": "Joins collections of places",
    "Nested Loop": "Looks into the second for each row of the first",
    "Hash Join": "Compares by a hash table",
    "Hash": "Makes a hash table",
    "Merge Join": "Compares two sorted sets of rows",
    "Sort": "Sorts",
    "Incremental Sort": "Sorts what is partly sorted",
    "Limit": "Stops when the page is full",
    "Unique": "Leaves out repetitions",
    "Aggregate": "Groups, counts or leaves out repetitions",
    "Append": "Puts sets of rows behind each other",
    "Merge Append": "Merges sorted sets of rows",
    "Materialize": "Keeps rows for the next time",
    "Memoize": "Remembers what was looked up",
    "Result": "Computes",
    "Subquery Scan": "Takes the rows of a part",
    "CTE Scan": "Takes the rows of a part that was computed ahead",
    "Function Scan": "Takes values of the request",
    "Values Scan": "Takes values of the request",
    "SetOp": "Compares sets of rows",
}
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "resource": tuple(ResourceRow.model_fields),
    **{table.name: ("rid", *(name for name, _ in table.columns)) for table in INDEX_TABLES},
}
_SOUGHT = ("Index Cond",)
_TESTED = ("Filter", "Join Filter")
_REMOVED = ("Rows Removed by Filter", "Rows Removed by Index Recheck", "Rows Removed by Join Filter")

_LITERAL = re.compile(r"'((?:[^']|'')*)'")
_NUMBERS = re.compile(r"\{?[\d,]+\}?")
_IDS = re.compile(r"\bparam_id = (?:ANY \('\{([\d,]+)\}'|'?(\d+))")
# PostgreSQL numbers what is called alike; `app.store.search.sort` calls so the rows whose values order the matches.
_NUMBERED = re.compile(r"_\d+$")
_ORDERING = frozenset({"s", "o"})
_CAST = re.compile(r'::"?\w+')
_WORD = re.compile(r"(?:\b(\w+)\.)?\b(\w+)")


class Explaining:
    """A connection that explains each statement as well as running it: what is explained is what is run."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.statements: list[Statement] = []

    async def fetch(self, statement: str, *arguments: Any) -> list[Any]:
        await self._explain(statement, arguments)
        return await self._connection.fetch(statement, *arguments)

    async def fetchrow(self, statement: str, *arguments: Any) -> Any:
        await self._explain(statement, arguments)
        return await self._connection.fetchrow(statement, *arguments)

    async def fetchval(self, statement: str, *arguments: Any) -> Any:
        await self._explain(statement, arguments)
        return await self._connection.fetchval(statement, *arguments)

    def is_in_transaction(self) -> bool:
        return self._connection.is_in_transaction()

    async def _explain(self, statement: str, arguments: tuple[Any, ...]) -> None:
        if not statement.startswith(_READS):
            return
        told = json.loads(await self._connection.fetchval(_EXPLAIN + statement, *arguments))
        self.statements.append(read_plan(told[0], _purpose(statement)))


def _purpose(statement: str) -> str:
    text = statement.lstrip("(")
    return next((words for start, words in _PURPOSES.items() if text.startswith(start)), "another look-up")


# By how the statements begin, the narrower ones first.
_PURPOSES = {
    "SELECT count(*)": "the total",
    "SELECT date_trunc": "the time up to which a feed may be read",
    "SELECT id, code FROM unit": "the units that can be compared",
    "SELECT uri, id FROM system": "the systems that are named",
    "SELECT r.type_id, r.id, r.rid": "the resources that are named",
    "SELECT r.rid, r.type_id, r.id, r.version, r.last_updated, r.body, CASE": "what is included",
    "SELECT v.rid": "what is included",
    "SELECT r.rid, r.version": "the value sets and code systems",
    "SELECT r.rid": "the matches of the page",
    "SELECT DISTINCT ON (r.rid)": "the matches of the page",
    "SELECT m.": "the matches of the page",
}


def read_plan(told: Node, purpose: str) -> Statement:
    """What EXPLAIN tells in JSON, without the values in it."""
    plan = told["Plan"]
    return Statement(
        purpose,
        told["Planning Time"],
        told["Execution Time"],
        plan.get("Shared Hit Blocks", 0),
        plan.get("Shared Read Blocks", 0),
        tuple(_steps(plan, 0, Use.START, {})),
    )


def _steps(node: Node, depth: int, use: Use, above: Node) -> Iterator[Step]:
    """The step of a node and those below it. The places of a bitmap are of the table of the node `above`."""
    if "Bitmap" in node["Node Type"]:
        node = {"Relation Name": above.get("Relation Name"), "Alias": above.get("Alias"), **node}
    yield _step(node, depth, use, node.get("Relation Name"))
    for child in node.get("Plans", ()):
        yield from _steps(child, depth + 1, _use(node, child, use), node)


def _use(node: Node, child: Node, use: Use) -> Use:
    match child.get("Parent Relationship"):
        case "Inner":
            return _INNER.get(node["Node Type"], use)
        case "InitPlan":
            return Use.AHEAD
        case "SubPlan":
            return Use.PROBE if child["Actual Loops"] > 1 else Use.AHEAD
    return use


_INNER = {"Nested Loop": Use.PROBE, "Hash Join": Use.HASH, "Merge Join": Use.BESIDE}


def _step(node: Node, depth: int, use: Use, table: str | None) -> Step:
    times = node["Actual Loops"]
    return Step(
        depth=depth,
        does=_DOES.get(node["Node Type"]) or str(node["Node Type"]),
        use=use,
        expected=node["Plan Rows"],
        found=node["Actual Rows"],
        times=int(times),
        milliseconds=round(node["Actual Total Time"] * times, 3),
        removed=round(sum(node.get(key, 0) for key in _REMOVED) * times),
        table=table,
        index=node.get("Index Name"),
        sought=_columns(node, _SOUGHT, table),
        tested=_columns(node, _TESTED, table),
        parameters=frozenset(_ids(_conditions(node, (*_SOUGHT, *_TESTED)))),
        orders=_NUMBERED.sub("", node.get("Alias") or "") in _ORDERING,
        whole=node["Node Type"] == "Seq Scan" and table in _COLUMNS,
    )


def _conditions(node: Node, keys: tuple[str, ...]) -> str:
    """The conditions without casts and texts: of values only numbers are left, as ids of parameters are, too."""
    return " ".join(_CAST.sub("", _LITERAL.sub(_without_text, node[key])) for key in keys if key in node)


def _without_text(literal: re.Match[str]) -> str:
    return literal[0] if _NUMBERS.fullmatch(literal[1]) else "''"


def _ids(conditions: str) -> Iterator[int]:
    for several, one in _IDS.findall(conditions):
        yield from map(int, (several or one).split(","))


def _columns(node: Node, keys: tuple[str, ...], table: str | None) -> tuple[str, ...]:
    """The columns of the table that stand in conditions, in the order of the table."""
    own = (None, "", node.get("Alias"))
    words = {word for qualifier, word in _WORD.findall(_conditions(node, keys)) if qualifier in own}
    return tuple(name for name in _COLUMNS.get(table or "", ()) if name in words)
