"""Compartments: what refers to one resource, by any of the parameters of the compartment's definition."""

from __future__ import annotations

from app.fhir.search.query import InCompartment
from app.store.search.rows import of_ids
from app.store.search.scope import Scope


def in_compartment(scope: Scope, wanted: InCompartment) -> str:
    """Whether the resource is in the compartment around a living resource that the caller may see."""
    centre = f"SELECT r.rid FROM resource AS r WHERE {scope.living(wanted.type)} AND r.id = {scope.bind(wanted.id)}"
    members = [centre] if wanted.itself else []
    if wanted.parameters:
        ids = sorted({number for each in wanted.parameters for number in each.rows_of})
        around = f"i.target_rid = {scope.rid(wanted.type, wanted.id)} AND {of_ids(ids)} AND EXISTS ({centre})"
        members.append(f"SELECT i.rid FROM index_reference AS i WHERE {around}")
    return f"r.rid IN ({' UNION ALL '.join(members)})"
