"""References to a resource or to what is above or below it: resources that are parts of one another.

https://hl7.org/fhir/R4/search.html#recursive
"""

from __future__ import annotations

from app.fhir.search.concepts import hierarchy_of
from app.fhir.search.parameters import SearchParameter
from app.fhir.search.values import ReferenceValue
from app.store.numbers import TYPE_ID
from app.store.search.references import possible_types
from app.store.search.scope import Scope

MOST_STEPS = 32

# One step from a resource to its parts. What is read here is the part, so it is what the caller must be able to see.
_PARTS = (
    "SELECT r.rid, tree.step + 1 FROM tree "
    "JOIN index_reference AS p ON p.target_rid = tree.rid AND p.param_id IN ({ids}) "
    "JOIN resource AS r ON r.rid = p.rid WHERE tree.step < {most} AND {living}"
)
# One step from a resource to what it is part of, which it tells itself.
_WHOLES = (
    "SELECT p.target_rid, tree.step + 1 FROM tree JOIN resource AS r ON r.rid = tree.rid "
    "JOIN index_reference AS p ON p.rid = r.rid AND p.param_id IN ({ids}) AND p.target_rid > 0 "
    "WHERE tree.step < {most} AND {living}"
)


def hierarchy(scope: Scope, parameter: SearchParameter, value: ReferenceValue, target: str, *, below: bool) -> str:
    """The condition on a column that holds the rid of a target.

    The resource itself counts whether it can be seen or not, as it does for a plain reference. A circle ends with the
    step that adds nothing or with the last step.
    """
    types = possible_types(parameter, value)
    start = (
        f"SELECT t.rid, 0 FROM resource AS t WHERE t.type_id = ANY ({scope.bind([TYPE_ID[name] for name in types])}"
        f"::smallint[]) AND t.id = {scope.bind(value.id)}"
    )
    part_of = hierarchy_of(types)
    step = (_PARTS if below else _WHOLES).format(
        ids=", ".join(map(str, part_of.rows_of)), most=MOST_STEPS, living=scope.living(part_of.type)
    )
    tree = f"WITH RECURSIVE tree (rid, step) AS ({start} UNION {step}) SELECT tree.rid FROM tree"
    return f"{target} = ANY (ARRAY({tree}))"
