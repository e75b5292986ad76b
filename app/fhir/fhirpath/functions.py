"""Functions of collections at run time (http://hl7.org/fhirpath/N1, sections 5 and 6). They never raise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.fhir.fhirpath import values
from app.fhir.fhirpath.types import PRIMITIVES
from app.fhir.fhirpath.values import ORDERS, Triple, identity

Nodes = list[Triple]


def key(node: Triple) -> Any:
    """Something hashable that is the same for equal nodes."""
    return identity(node[2]) if node[1] is None else identity(node[1], node[0])


def keys(nodes: Nodes) -> frozenset[Any]:
    return frozenset(key(node) for node in nodes)


def distinct(nodes: Nodes) -> Nodes:
    return list({key(node): node for node in reversed(nodes)}.values())[::-1] if len(nodes) > 1 else nodes


def is_distinct(nodes: Nodes) -> bool:
    return len(nodes) < 2 or len(keys(nodes)) == len(nodes)


def intersect(left: Nodes, right: Nodes) -> Nodes:
    wanted = keys(right)
    return [node for node in distinct(left) if key(node) in wanted]


def exclude(left: Nodes, right: Nodes) -> Nodes:
    unwanted = keys(right)
    return [node for node in left if key(node) not in unwanted]


def subset(left: Nodes, right: Nodes) -> bool:
    return keys(left) <= keys(right)


def member_of(left: Nodes, right: Nodes) -> bool | None:
    """`left in right`."""
    return key(left[0]) in keys(right) if len(left) == 1 else None


def member_of_keys(left: Nodes, right: frozenset[Any]) -> bool | None:
    return key(left[0]) in right if len(left) == 1 else None


def single(nodes: Nodes) -> Any:
    """The value of the only item; None when there is none, or more than one."""
    return nodes[0][1] if len(nodes) == 1 else None


def truth(nodes: Nodes) -> bool | None:
    """Singleton evaluation where a Boolean is expected (section 4.5)."""
    if len(nodes) != 1:
        return None
    type_name, value, _ = nodes[0]
    return value if isinstance(value, bool) or (value is None and type_name == "boolean") else True


def equal(left: Nodes, right: Nodes) -> bool | None:
    """`=` (section 6.1.1)."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    found = [values.equal(a, b) for a, b in zip(left, right, strict=True)]
    return False if False in found else None if None in found else True


def equivalent(left: Nodes, right: Nodes) -> bool:
    """`~` (section 6.1.2): the order of the items does not matter."""
    rest = list(right)
    for node in left:
        match = next((at for at, other in enumerate(rest) if values.equivalent(node, other)), None)
        if match is None:
            return False
        del rest[match]
    return not rest


def compare(left: Nodes, right: Nodes, operator: str) -> bool | None:
    """`<` and its like (section 6.2)."""
    if len(left) != 1 or len(right) != 1:
        return None
    return ordered(values.order(left[0], right[0]), operator)


def ordered(order: int | None, operator: str) -> bool | None:
    return None if order is None else ORDERS[operator](order, 0)


def xor(left: bool | None, right: bool | None) -> bool | None:
    return None if left is None or right is None else left != right


def inverse(value: bool | None) -> bool | None:
    return None if value is None else not value


def conjunction(found: list[bool | None], wanted: bool) -> bool:
    """Whether every item is `wanted`, for allTrue() and allFalse()."""
    return all(item is wanted for item in found)


def has_value(nodes: Nodes) -> bool:
    """R4 fhirpath.html, 2.1.9.1.5: one primitive that has a value."""
    return len(nodes) == 1 and nodes[0][0] in PRIMITIVES and nodes[0][1] is not None


def repeat(nodes: Nodes, projection: Callable[[Nodes], Nodes]) -> Nodes:
    """The items reached by applying `projection` again and again, each once (section 5.2.3)."""
    found: dict[Any, Triple] = {}
    level = nodes
    while level:
        fresh = {key(node): node for node in projection(level)}
        level = [node for k, node in fresh.items() if k not in found]
        found.update((key(node), node) for node in level)
    return list(found.values())
