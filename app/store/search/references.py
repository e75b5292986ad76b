"""References to resources of this server, by the number of their target."""

from __future__ import annotations

from app.fhir.search.parameters import SearchParameter
from app.fhir.search.values import ReferenceValue
from app.store.numbers import TYPE_ID
from app.store.search.scope import Scope


def reference(scope: Scope, parameter: SearchParameter, value: ReferenceValue, target: str) -> str:
    """The condition on a column that holds the rid of a target."""
    types = possible_types(parameter, value)
    if len(types) == 1:
        # A resource is found once, before all else, so that the plan begins with what refers to it.
        kind = scope.bind(TYPE_ID[types[0]])
        return (
            f"{target} = (SELECT t.rid FROM resource AS t WHERE t.type_id = {kind} AND t.id = {scope.bind(value.id)})"
        )
    kinds = scope.bind([TYPE_ID[name] for name in types])
    return (
        f"{target} = ANY (ARRAY(SELECT t.rid FROM resource AS t "
        f"WHERE t.type_id = ANY ({kinds}::smallint[]) AND t.id = {scope.bind(value.id)}))"
    )


def possible_types(parameter: SearchParameter, value: ReferenceValue) -> list[str]:
    types = [value.type] if value.type else list(parameter.targets) or list(TYPE_ID)
    if parameter.target_type:
        types = [name for name in types if name in (parameter.target_type, "Resource")]
    return [name for name in types if name in TYPE_ID]
