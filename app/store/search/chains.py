"""Conditions on the resources that a reference links, as semi-joins from the inside out.

Every inner condition is one on a living resource that the caller may see, or that of a chain on one contained in such a
resource (https://hl7.org/fhir/R4/search.html#contained). The planner may begin on either side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from app.fhir.definitions import resource_types
from app.fhir.search.includes import urls_of, versions_of
from app.fhir.search.query import Chain, Clause, Condition, FullText, Modifier, Reverse
from app.store.numbers import TYPE_ID
from app.store.search.rows import of_ids, of_parameter
from app.store.search.scope import Scope

Compile = Callable[[Scope, Condition], str]
"""`conditions.condition`."""

_BY_ROWS = frozenset({None, Modifier.EXACT, Modifier.CONTAINS})


def chain(compile_: Compile, scope: Scope, wanted: Chain) -> str:
    """Whether the resource refers to one that fulfils the condition of its type."""
    rows = of_parameter(wanted.parameter)
    targets = " UNION ALL ".join(_reached(compile_, scope, types, inner) for types, inner in wanted.branches)
    found = f"SELECT i.rid FROM index_reference AS i WHERE {rows} AND i.target_rid IN ({targets})"
    if wanted.canonical:
        names = _names(name for types, _ in wanted.branches for name in types)
        found += (
            f" UNION ALL SELECT i.rid FROM index_uri AS i WHERE {rows} "
            f"AND i.value IN (SELECT k.name FROM {names} AND u.rid > 0 AND u.rid IN ({targets}))"
        )
    return f"r.rid IN ({found})"


def reverse(compile_: Compile, scope: Scope, wanted: Reverse) -> str:
    """Whether a resource of the other type that fulfils the condition refers to this one."""
    known = wanted.parameter
    rows = f"{of_parameter(known)} AND i.rid IN ({_living(compile_, scope, (wanted.type,), wanted.condition)})"
    found = f"SELECT i.target_rid FROM index_reference AS i WHERE {rows}"
    if wanted.canonical:
        names = _names(known.targets or resource_types())
        found += f" UNION ALL SELECT u.rid FROM {names} AND k.name IN (SELECT i.value FROM index_uri AS i WHERE {rows})"
    # Rows that are shared may lead to more types than the parameter does: `patient` is `subject` to a Patient.
    narrowed = f"r.type_id = {TYPE_ID[known.target_type]} AND " if known.target_type else ""
    return f"{narrowed}r.rid IN ({found})"


def _reached(compile_: Compile, scope: Scope, types: tuple[str, ...], inner: Condition) -> str:
    there = scope.reachable() if _is_of_content(inner) else scope.existing()
    return _fulfilling(compile_, scope, types, inner, there)


def _living(compile_: Compile, scope: Scope, types: tuple[str, ...], inner: Condition) -> str:
    return _fulfilling(compile_, scope, types, inner, scope.existing())


def _is_of_content(inner: Condition) -> bool:
    """Whether the condition is one on what a resource says, so that it can be asked of a contained one.

    That has no id on the server, no time of its own, and nothing but its container that refers to it.
    """
    return isinstance(inner, Chain | FullText) or (isinstance(inner, Clause) and inner.parameter.column is None)


def _fulfilling(compile_: Compile, scope: Scope, types: tuple[str, ...], inner: Condition, there: str) -> str:
    # To the planner, the type and rows of a parameter of the type are two restrictions that multiply. Left out where
    # the rows imply it, the estimates hold, and with them the order in which a page of a common match is found.
    of_type = "" if _implies_type(inner) else f"{scope.of_type(types)} AND "
    return f"SELECT r.rid FROM resource AS r WHERE {of_type}{there} AND {compile_(scope, inner)}"


def _implies_type(inner: Condition) -> bool:
    """Whether only resources with rows of a parameter can match, and so only those of the parameter's types."""
    if isinstance(inner, Chain):
        return True
    return isinstance(inner, Clause) and inner.parameter.column is None and inner.modifier in _BY_ROWS


def _names(types: Iterable[str]) -> str:
    """What stands after FROM for `k.name`, the names by which canonical references mean `u.rid`, of these types.

    A resource is named by its url, for whatever version, and by url|version (R4 references.html#canonical).
    """
    listed = list(types)
    urls = sorted(urls_of(listed))
    versions = sorted(versions_of(listed))
    return (
        f"index_uri AS u LEFT JOIN index_token AS v ON v.rid = u.rid AND {of_ids(versions, 'v')} "
        "CROSS JOIN LATERAL (VALUES (u.value), (u.value || '|' || v.code)) AS k (name) "
        f"WHERE {of_ids(urls, 'u')}"
    )
