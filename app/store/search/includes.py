"""What the resources of a page refer to, and what refers to them: one statement for all includes together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.fhir.definitions import resource_types
from app.fhir.search.includes import may_point_to, names_urls, urls_of, versions_of
from app.fhir.search.parameters import SearchParameter
from app.fhir.search.query import Include
from app.store.connections import Connection
from app.store.numbers import TYPE_ID, TYPE_NAME, Numbers
from app.store.predicate import Predicate
from app.store.resources import Stored
from app.store.search.scope import Scope


@dataclass(frozen=True, slots=True)
class Included:
    """A resource that was led to, in its current state.

    `sources` are empty where a reference means the current state. Otherwise all references may name a version: they
    stand in resources with these rids, under the parameters with these ids.
    """

    rid: int
    stored: Stored
    sources: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class _Way:
    """Parameters to follow from some resources, to or from resources of one type if `target` is one."""

    reverse: bool
    target: str | None
    parameters: tuple[SearchParameter, ...]
    rids: list[int]


async def follow(
    connection: Connection,
    numbers: Numbers,
    includes: Sequence[Include],
    starts: Mapping[int, str],
    visible: Predicate,
    *,
    known: Collection[int],
    limit: int,
) -> list[Included]:
    """Up to `limit` resources in the order of rid to which the includes lead from `starts`, but those that are `known`.

    `starts` are types of resources by rid.
    """
    scope = Scope(numbers, visible)
    arms = [arm for way in _ways(includes, starts) for arm in _arms(scope, way)]
    if not arms:
        return []
    rows = await connection.fetch(
        "SELECT r.rid, r.type_id, r.id, r.version, r.last_updated, r.body, "
        "CASE WHEN bool_and(f.weak) THEN array_agg(f.source) END, array_agg(f.param_id) "
        f"FROM ({' UNION ALL '.join(arms)}) AS f(rid, type_id, weak, source, param_id) "
        "JOIN resource AS r ON r.rid = f.rid AND (f.type_id IS NULL OR f.type_id = r.type_id) "
        f"WHERE NOT r.deleted AND {scope.seen()} AND r.rid <> ALL ({scope.bind(list(known))}::bigint[]) "
        f"GROUP BY r.rid ORDER BY r.rid LIMIT {limit:d}",
        *scope.arguments,
    )
    return [
        Included(
            row[0], Stored(TYPE_NAME[row[1]], *row[2:6]), tuple(zip(row[6], row[7], strict=True)) if row[6] else ()
        )
        for row in rows
    ]


async def versions(
    connection: Connection, numbers: Numbers, wanted: Sequence[tuple[int, int]], visible: Predicate
) -> list[tuple[int, Stored]]:
    """Versions by rid and number, in that order, as far as there are such with content."""
    scope = Scope(numbers, visible)
    keys = ", ".join(f"{scope.bind(list(column))}::{kind}[]" for column, kind in _columns(wanted))
    rows = await connection.fetch(
        "SELECT v.rid, r.type_id, r.id, v.version, v.last_updated, v.body "
        f"FROM unnest({keys}) AS w(rid, version) JOIN resource_version AS v USING (rid, version) "
        "JOIN resource AS r USING (rid) "
        f"WHERE NOT r.deleted AND v.body IS NOT NULL AND {scope.seen()} ORDER BY v.rid, v.version",
        *scope.arguments,
    )
    return [(row[0], Stored(TYPE_NAME[row[1]], *row[2:6])) for row in rows]


def _columns(wanted: Sequence[tuple[int, int]]) -> Iterator[tuple[tuple[int, ...], str]]:
    return zip(zip(*wanted, strict=True), ("bigint", "integer"), strict=True)


def _ways(includes: Sequence[Include], starts: Mapping[int, str]) -> Iterator[_Way]:
    """What there is to follow from resources of the types that there are, gathered by direction and target."""
    types = set(starts.values())
    gathered: dict[tuple[bool, str | None], dict[SearchParameter, None]] = {}
    for include in includes:
        for parameter in include.parameters:
            target = include.target or parameter.target_type
            fits = any(_leads(include, parameter, target, type_name) for type_name in types)
            if fits and parameter.rows_of:
                gathered.setdefault((include.reverse, target), {})[parameter] = None
    for (reverse, target), found in gathered.items():
        rids = [rid for rid, type_name in starts.items() if not reverse or target in (None, type_name)]
        yield _Way(reverse, target, tuple(found), rids)


def _leads(include: Include, parameter: SearchParameter, target: str | None, type_name: str) -> bool:
    """Whether the parameter may lead on from a resource of this type."""
    if not include.reverse:
        return type_name == parameter.type
    return target in (None, type_name) and may_point_to(parameter, type_name)


def _arms(scope: Scope, way: _Way) -> Iterator[str]:
    """The selections of rows (rid, type it must have, whether the reference may name a version, source, parameter)."""
    yield (_referring if way.reverse else _referred)(scope, way)
    for types, parameters in _by_url(way).items():
        yield (_naming if way.reverse else _named)(scope, way, parameters, types)


def _by_url(way: _Way) -> Mapping[tuple[str, ...], list[SearchParameter]]:
    """The parameters whose values may be canonical references, by the types that these may name."""
    found: dict[tuple[str, ...], list[SearchParameter]] = {}
    for parameter in way.parameters:
        if names_urls(parameter):
            types = (way.target,) if way.target else parameter.targets or resource_types()
            found.setdefault(types, []).append(parameter)
    return found


def _row_ids(scope: Scope, parameters: Sequence[SearchParameter]) -> str:
    return _smallints(scope, {number for each in parameters for number in each.rows_of})


def _smallints(scope: Scope, found: Collection[int]) -> str:
    return f"ANY ({scope.bind(sorted(found))}::smallint[])"


def _among(scope: Scope, rids: list[int]) -> str:
    return f"ANY ({scope.bind(rids)}::bigint[])"


def _type(scope: Scope, target: str | None) -> str:
    return f"{scope.bind(TYPE_ID[target] if target else None)}::smallint"


# OFFSET 0 keeps the planner from reading all rows of a parameter to join them: they are looked up one by one.
_STRONG = "NULL::smallint, false, NULL::bigint, NULL::smallint"


def _referred(scope: Scope, way: _Way) -> str:
    return (
        f"SELECT i.target_rid, {_type(scope, way.target)}, i.weak, i.rid, i.param_id FROM index_reference AS i "
        f"WHERE i.rid = {_among(scope, way.rids)} AND i.param_id = {_row_ids(scope, way.parameters)}"
    )


def _referring(scope: Scope, way: _Way) -> str:
    return (
        f"SELECT i.rid, {_STRONG} FROM index_reference AS i "
        f"WHERE i.target_rid = {_among(scope, way.rids)} AND i.param_id = {_row_ids(scope, way.parameters)}"
    )


def _named(scope: Scope, way: _Way, parameters: Sequence[SearchParameter], types: tuple[str, ...]) -> str:
    """What canonical references name: the resources with that url, of that version where there is one."""
    return (
        f"SELECT u.rid, {_STRONG} FROM index_uri AS i CROSS JOIN LATERAL (SELECT u.rid FROM index_uri AS u "
        f"WHERE u.param_id = {_smallints(scope, urls_of(types))} "
        "AND u.value = split_part(i.value, '|', 1) OFFSET 0) AS u "
        f"WHERE i.rid = {_among(scope, way.rids)} AND i.param_id = {_row_ids(scope, parameters)} "
        "AND (strpos(i.value, '|') = 0 OR EXISTS (SELECT FROM index_token AS v WHERE v.rid = u.rid "
        f"AND v.param_id = {_smallints(scope, versions_of(types))} AND v.code = split_part(i.value, '|', 2)))"
    )


def _naming(scope: Scope, way: _Way, parameters: Sequence[SearchParameter], types: tuple[str, ...]) -> str:
    """What names a resource by its url, with its own version or without any."""
    return (
        f"SELECT i.rid, {_STRONG} FROM index_uri AS u CROSS JOIN LATERAL (SELECT u.value UNION ALL "
        "SELECT u.value || '|' || v.code FROM index_token AS v WHERE v.rid = u.rid "
        f"AND v.param_id = {_smallints(scope, versions_of(types))}) AS n(value) "
        f"CROSS JOIN LATERAL (SELECT i.rid FROM index_uri AS i WHERE i.param_id = {_row_ids(scope, parameters)} "
        "AND i.value = n.value OFFSET 0) AS i "
        f"WHERE u.rid = {_among(scope, way.rids)} "
        f"AND u.param_id = {_smallints(scope, urls_of(types))}"
    )
