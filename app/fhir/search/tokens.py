"""Finding resources that are not stored yet by their tokens, the way the store will find them."""

from __future__ import annotations

from collections import defaultdict

from app.fhir.search.query import Clause, Condition, Query
from app.fhir.search.rows import IndexRows
from app.fhir.search.values import TokenValue


class Tokens:
    """The tokens of resources of one type. In a key None stands for any system or any code, like in a TokenValue."""

    def __init__(self) -> None:
        self._ids: dict[tuple[int, str | None, str | None], set[str]] = defaultdict(set)

    def add(self, id_: str, rows: IndexRows) -> None:
        for parameter, system, code, _ in rows.tokens:
            for key in ((system or "", code), (None, code), (system or "", None)):
                self._ids[parameter, *key].add(id_)

    def matches(self, query: Query) -> set[str]:
        """The ids of those that fulfil a query which `is_by_tokens`."""
        return set.intersection(*map(self._fulfil, query.conditions))

    def _fulfil(self, condition: Condition) -> set[str]:
        parameters, values = _tokens(condition)
        keys = ((parameter, value.system, value.code) for parameter in parameters for value in values)
        return {id_ for key in keys for id_ in self._ids.get(key, ())}


def is_by_tokens(query: Query) -> bool:
    """Whether each condition is one token, or one of several: `identifier=system|value`."""
    return all(_tokens(condition)[1] for condition in query.conditions)


def _tokens(condition: Condition) -> tuple[tuple[int, ...], tuple[TokenValue, ...]]:
    """The ids of the rows to look in, and the values; none where anything else than plain tokens is asked for."""
    match condition:
        case Clause(parameter=known, modifier=None, values=values) if known.column is None:
            tokens = tuple(value for value in values if isinstance(value, TokenValue))
            return known.logical_rows_of, tokens if len(tokens) == len(values) else ()
        case _:
            return (), ()
