"""The entries of Lists."""

from __future__ import annotations

from app.fhir.search.parameters import parameters
from app.fhir.search.query import Listed
from app.store.search.rows import of_parameter
from app.store.search.scope import Scope


def listed(scope: Scope, wanted: Listed) -> str:
    """Whether a living List that the caller may see has the resource among its entries."""
    lists = (
        f"SELECT r.rid FROM resource AS r WHERE {scope.living('List')} AND r.id = ANY ({scope.bind(list(wanted.ids))})"
    )
    rows = of_parameter(parameters("List")["item"])
    return f"r.rid IN (SELECT i.target_rid FROM index_reference AS i WHERE {rows} AND i.rid IN ({lists}))"
