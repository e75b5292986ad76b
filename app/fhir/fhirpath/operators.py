"""Source for the operators (http://hl7.org/fhirpath/N1, section 6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from app.fhir.fhirpath.ast import Binary, Call, Expression, Literal, Member
from app.fhir.fhirpath.builder import Builder, Scope
from app.fhir.fhirpath.code import NOTHING, Code, Items, Truth, opaque, partial, total
from app.fhir.fhirpath.errors import FhirPathError
from app.fhir.fhirpath.navigation import narrow
from app.fhir.fhirpath.types import NUMBERS, is_resource, type_named
from app.fhir.fhirpath.values import ORDER_OF_KIND, kind

Handler = Callable[[Builder, Binary, Scope], Code]

_ORDERS_BY_KIND = {name: function.__name__ for name, function in ORDER_OF_KIND.items()}


def _pair(builder: Builder, node: Binary, scope: Scope) -> tuple[Truth, Truth]:
    return builder.truth(builder.visit(node.left, scope)), builder.truth(builder.visit(node.right, scope))


def _and(builder: Builder, node: Binary, scope: Scope) -> Code:
    left, right = _pair(builder, node, scope)
    true = f"({left.true} and {right.true})"
    return _either_form(true, f"({left.false} or {right.false})", left, right)


def _or(builder: Builder, node: Binary, scope: Scope) -> Code:
    left, right = _pair(builder, node, scope)
    true = f"({left.true} or {right.true})"
    return _either_form(true, f"({left.false} and {right.false})", left, right)


def _implies(builder: Builder, node: Binary, scope: Scope) -> Code:
    left, right = _pair(builder, node, scope)
    true = f"({left.false} or {right.true})"
    return _either_form(true, f"({left.true} and {right.false})", left, right)


def _either_form(true: str, false: str, left: Truth, right: Truth) -> Truth:
    return total(true) if left.is_total and right.is_total else partial(true, false)


def _xor(builder: Builder, node: Binary, scope: Scope) -> Code:
    left, right = _pair(builder, node, scope)
    if left.is_total and right.is_total:
        return total(f"({left.value} != {right.value})")
    return opaque(f"xor({left.value}, {right.value})")


def negated(truth: Truth) -> Truth:
    if truth.is_total:
        return Truth(truth.false, truth.true, truth.false)
    if truth.is_opaque:
        return Truth(truth.false, truth.true, f"inverse({truth.value})")
    return partial(truth.false, truth.true)


def _equal(builder: Builder, node: Binary, scope: Scope) -> Truth:
    left, right = builder.visit(node.left, scope), builder.visit(node.right, scope)
    if isinstance(left, Truth) and isinstance(right, Truth) and left.is_total and right.is_total:
        return total(f"({left.value} == {right.value})")
    for one, other, literal in ((left, right, node.right), (right, left, node.left)):
        if (
            isinstance(literal, Literal)
            and literal.type == "string"
            and isinstance(one, Items)
            and builder.is_text(one)
        ):
            return builder.equals_text(one, builder.one(other))
        if isinstance(literal, Literal) and literal.type == "boolean":
            return _equals_boolean(builder, one, literal.text == "true")
    return opaque(f"equal({builder.nodes(left)}, {builder.nodes(right)})")


def _equals_boolean(builder: Builder, code: Code, wanted: bool) -> Truth:
    if isinstance(code, Items) and code.type != "boolean":
        return opaque(f"equal({builder.nodes(code)}, [('boolean', {wanted}, None)])")
    truth = builder.truth(code)
    return truth if wanted else negated(truth)


def _unequal(builder: Builder, node: Binary, scope: Scope) -> Code:
    return negated(_equal(builder, node, scope))


def _equivalent(builder: Builder, node: Binary, scope: Scope) -> Truth:
    left, right = builder.visit(node.left, scope), builder.visit(node.right, scope)
    return total(f"equivalent({builder.nodes(left)}, {builder.nodes(right)})")


def _not_equivalent(builder: Builder, node: Binary, scope: Scope) -> Code:
    return negated(_equivalent(builder, node, scope))


def _compare(builder: Builder, node: Binary, scope: Scope) -> Code:
    left, right = (builder.items(builder.visit(side, scope)) for side in (node.left, node.right))
    order = _ORDERS_BY_KIND.get(kind(left.type)) if left.type and kind(left.type) == kind(right.type) else None
    if order is None:
        return opaque(f"compare({builder.nodes(left)}, {builder.nodes(right)}, {node.operator!r})")
    return opaque(f"ordered({order}({builder.one(left)}, {builder.one(right)}), {node.operator!r})")


def _texts(node: Expression) -> list[str] | None:
    """The strings of `('a' | 'b')`, or None when the node is something else."""
    if isinstance(node, Literal):
        return [node.text] if node.type == "string" else None
    if isinstance(node, Binary) and node.operator == "|":
        left, right = _texts(node.left), _texts(node.right)
        return None if left is None or right is None else left + right
    return None


def _in(builder: Builder, node: Binary, scope: Scope) -> Code:
    return _member(builder, node.left, node.right, scope)


def _contains(builder: Builder, node: Binary, scope: Scope) -> Code:
    return _member(builder, node.right, node.left, scope)


def _member(builder: Builder, item: Expression, collection: Expression, scope: Scope) -> Code:
    left, texts = builder.visit(item, scope), _texts(collection)
    if texts is not None and isinstance(left, Items) and builder.is_text(left) and left.optional:
        known = builder.constant(frozenset(texts))
        return partial(f"({left.value} in {known})", f"({left.value} not in {known} and {left.value} is not None)")
    right = builder.nodes(builder.visit(collection, scope))
    if scope.inner and builder.is_constant(collection):
        return opaque(f"member_of_keys({builder.nodes(left)}, {builder.memo(f'keys({right})')})")
    return opaque(f"member_of({builder.nodes(left)}, {right})")


def _union(builder: Builder, node: Binary, scope: Scope) -> Code:
    return union(
        builder, builder.items(builder.visit(node.left, scope)), builder.items(builder.visit(node.right, scope))
    )


def union(builder: Builder, left: Items, right: Items) -> Items:
    """Both, without duplicates (section 6.5.1)."""
    if left.never or right.never:
        return NOTHING if left.never and right.never else right if left.never else left
    source = f"distinct([*{builder.nodes(left)}, *{builder.nodes(right)}])"
    return builder.names.from_nodes(source, left.type if left.type == right.type else "", False)


def type_specifier(node: Expression) -> str:
    """The type that `as`, `is` and `ofType` name. Raises FhirPathError."""
    names: list[str] = []
    while isinstance(node, Member):
        names.insert(0, node.name)
        if node.base is None:
            return type_named(".".join(names))
        node = node.base
    raise FhirPathError("A type is expected after is, as and ofType.")


def _as(builder: Builder, node: Binary, scope: Scope) -> Code:
    return narrow(builder, builder.items(builder.visit(node.left, scope)), type_specifier(node.right))


def _is(builder: Builder, node: Binary, scope: Scope) -> Code:
    return is_type(builder, node.left, type_specifier(node.right), scope)


def is_type(builder: Builder, left: Expression, wanted: str, scope: Scope) -> Truth:
    """`left is wanted`. For `resolve() is wanted` no reference is followed: what it says of its target decides."""
    if isinstance(left, Call) and left.name == "resolve" and is_resource(wanted):
        base = scope.this if left.base is None else builder.items(builder.visit(left.base, scope))
        if base.is_plain:
            return total(f"refers_to({base.value}, {wanted!r}, root)")
    return opaque(f"is_of_type({builder.nodes(builder.visit(left, scope))}, {wanted!r})")


def _arithmetic(builder: Builder, node: Binary, scope: Scope) -> Code:
    left, right = (builder.items(builder.visit(side, scope)) for side in (node.left, node.right))
    source = f"calculate({builder.one(left)}, {builder.one(right)}, {node.operator!r})"
    known = {left.type, right.type}
    if known <= NUMBERS:
        exact = node.operator == "/" or "decimal" in known
        return Items((), source, *(("decimal", "'decimal'") if exact else ("integer", "'integer'")), optional=True)
    return Items((), source, "", f"system_type({source})", optional=True)


def _concatenate(builder: Builder, node: Binary, scope: Scope) -> Code:
    left, right = (builder.one(builder.visit(side, scope)) for side in (node.left, node.right))
    return Items((), f"concatenate({left}, {right})", "string", "'string'")


OPERATORS: Mapping[str, Handler] = {
    "and": _and, "or": _or, "xor": _xor, "implies": _implies,
    "=": _equal, "!=": _unequal, "~": _equivalent, "!~": _not_equivalent,
    "in": _in, "contains": _contains, "|": _union, "is": _is, "as": _as, "&": _concatenate,
    **dict.fromkeys(("<", "<=", ">", ">="), _compare),
    **dict.fromkeys(("+", "-", "*", "/", "div", "mod"), _arithmetic),
}  # fmt: skip
