"""References to resources of this server, by the number of their target."""

from __future__ import annotations

from app.fhir.search.parameters import SearchParameter
from app.fhir.search.values import ReferenceValue
from app.store.numbers import TYPE_ID
from app.store.search.scope import Scope


def reference(scope: Scope, parameter: SearchParameter, value: ReferenceValue, target: str) -> str:
    """The condition on a column that holds the rid of a target."""
    rids = [scope.rid(name, value.id or "") for name in possible_types(parameter, value)]
    return f"{target} = {rids[0]}" if len(rids) == 1 else f"{target} = ANY (ARRAY[{', '.join(rids)}]::bigint[])"


def possible_types(parameter: SearchParameter, value: ReferenceValue) -> list[str]:
    types = [value.type] if value.type else list(parameter.targets) or list(TYPE_ID)
    if parameter.target_type:
        types = [name for name in types if name in (parameter.target_type, "Resource")]
    return [name for name in types if name in TYPE_ID]
