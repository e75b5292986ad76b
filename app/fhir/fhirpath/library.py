"""Source for the functions of FHIRPath and of FHIR (http://hl7.org/fhirpath/N1, section 5; R4 fhirpath.html, 2.1.9.1.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from app.fhir.fhirpath.ast import Call, Expression, Literal, Nothing
from app.fhir.fhirpath.builder import Builder, Scope
from app.fhir.fhirpath.code import NOTHING, Code, Items, Truth, opaque, total
from app.fhir.fhirpath.errors import FhirPathError
from app.fhir.fhirpath.navigation import narrow, step
from app.fhir.fhirpath.operators import is_type, negated, type_specifier, union
from app.fhir.fhirpath.types import PRIMITIVES

Handler = Callable[[Builder, Code, Call, Scope], Code]


def _criterion(builder: Builder, base: Code, argument: Expression) -> tuple[Items, Truth]:
    """The items of `base`, and the criterion for one of them."""
    bound, this = builder.each(builder.items(base))
    return bound, builder.truth(builder.visit(argument, Scope(this, inner=True)))


# Existence


def _exists(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
    found = _where(builder, base, call, scope) if call.arguments else base
    return total(builder.exists(found))


def _empty(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
    return negated(total(builder.exists(base)))


def _count(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
    return Items((), builder.count(base), "integer", "'integer'")


def _not(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
    return negated(builder.truth(base))


def _has_value(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
    items = builder.items(base)
    if items.is_plain and items.single and items.type in PRIMITIVES:
        return total(f"({items.value} is not None)")
    return total(f"has_value({builder.nodes(items)})")


def _all(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
    bound, criterion = _criterion(builder, base, call.arguments[0])
    return total(f"([1 {' '.join(bound.clauses)} if not {criterion.true}] == [])") if bound.clauses else criterion


def _conjunction(wanted: bool, negate: bool) -> Handler:
    def handler(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
        found = total(f"conjunction([n[1] for n in {builder.nodes(base)}], {wanted})")
        return negated(found) if negate else found

    return handler


# Filters and projections


def _where(builder: Builder, base: Code, call: Call, scope: Scope) -> Items:
    items = builder.items(base)
    if items.never:
        return NOTHING
    bound, criterion = _criterion(builder, items, call.arguments[0])
    return replace(bound, clauses=(*(bound.clauses or ("for _ in (0,)",)), f"if {criterion.true}"))


def _select(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
    items = builder.items(base)
    if items.never:
        return NOTHING
    bound, this = builder.each(items)
    projected = builder.items(builder.visit(call.arguments[0], Scope(this, inner=True)))
    return projected.under(bound.clauses, bound.single)


def _repeat(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
    kind, value, extra = (builder.names(letter) for letter in "tve")
    this = Items((), value, "", kind, extra, optional=True)
    projected = builder.items(builder.visit(call.arguments[0], Scope(this, inner=True)))
    level = builder.names("n")
    clauses = (f"for {kind}, {value}, {extra} in {level}",)
    source = f"repeat({builder.nodes(base)}, lambda {level}: {builder.nodes(projected.under(clauses, False))})"
    return builder.names.from_nodes(source, "", False)


def _slice(start: str, stop: str, single: bool) -> Handler:
    """A slice of the items, its bounds perhaps from the argument."""

    def handler(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
        items = builder.items(base)
        if items.never:
            return NOTHING
        n = builder.one(builder.visit(call.arguments[0], scope)) if call.arguments else "0"
        source = f"{builder.nodes(items)}[{start.format(n=n)}:{stop.format(n=n)}]"
        return builder.names.from_nodes(source, items.type, single or items.single)

    return handler


def _single(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
    items = builder.items(base)
    if items.never or items.single:
        return items
    return builder.names.from_nodes(f"only({builder.nodes(items)})", items.type, True)


def _of_type(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
    return narrow(builder, builder.items(base), type_specifier(call.arguments[0]))


def _is(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
    wanted = type_specifier(call.arguments[0])
    if call.base is not None:
        return is_type(builder, call.base, wanted, scope)
    return opaque(f"is_of_type({builder.nodes(base)}, {wanted!r})")


def _iif(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
    """The arguments see the whole collection as `$this`: `iif(empty(), …)`."""
    inner = Scope(builder.items(base), inner=scope.inner)
    condition = builder.truth(builder.visit(call.arguments[0], inner)).true
    then, otherwise = (builder.visit(a, inner) for a in (*call.arguments[1:], Nothing())[:2])
    if isinstance(then, Truth) or isinstance(otherwise, Truth):
        return opaque(f"({builder.truth(then).value} if {condition} else {builder.truth(otherwise).value})")
    type_name = then.type if then.type == otherwise.type else ""
    source = f"({builder.nodes(then)} if {condition} else {builder.nodes(otherwise)})"
    return builder.names.from_nodes(source, type_name, then.single and otherwise.single)


def _trace(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
    return base


# Collections


def _nodes_to_nodes(function: str, keeps_type: bool) -> Handler:
    """A function of the collection and perhaps another one."""

    def handler(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
        items = builder.items(base)
        others = "".join(f", {builder.nodes(builder.visit(a, scope))}" for a in call.arguments)
        type_name = items.type if keeps_type else ""
        return builder.names.from_nodes(f"{function}({builder.nodes(items)}{others})", type_name, False)

    return handler


def _nodes_to_truth(source: str) -> Handler:
    def handler(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
        others = [builder.nodes(builder.visit(a, scope)) for a in call.arguments]
        return total(source.format(builder.nodes(base), *others))

    return handler


def _combine(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
    source = f"[*{builder.nodes(base)}, *{builder.nodes(builder.visit(call.arguments[0], scope))}]"
    return builder.names.from_nodes(source, "", False)


def _union(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
    return union(builder, builder.items(base), builder.items(builder.visit(call.arguments[0], scope)))


# Single values


def _scalar(function: str, type_name: str, first: str = "") -> Handler:
    """A function of one value and its arguments; the result is empty when there is no single value."""

    def handler(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
        arguments = [first] * bool(first) + [builder.one(base)]
        arguments += [builder.one(builder.visit(a, scope)) for a in call.arguments]
        source = f"{function}({', '.join(arguments)})"
        if type_name == "boolean":
            return opaque(source)
        return Items((), source, type_name, repr(type_name) if type_name else f"system_type({source})", optional=True)

    return handler


def _converts(function: str) -> Handler:
    def handler(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
        return total(f"({function}({builder.one(base)}) is not None)")

    return handler


def _characters(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
    return builder.names.from_nodes(f"characters({builder.one(base)})", "string", False)


# FHIR


def _extension(builder: Builder, base: Code, call: Call, scope: Scope) -> Items:
    bound, this = builder.each(step(builder, builder.items(base), "extension"))
    if bound.never:
        return NOTHING
    url = builder.visit(call.arguments[0], scope)
    if not (isinstance(call.arguments[0], Literal) and builder.is_text(url)):
        raise FhirPathError("extension() needs the URL as a literal.")
    return replace(bound, clauses=(*bound.clauses, f"if {this.value}.get('url') == {builder.one(url)}"))


def _has_extension(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
    return total(builder.exists(_extension(builder, base, call, scope)))


def _resolve(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
    items = builder.items(base)
    return builder.names.from_nodes(f"resolve({builder.nodes(items)}, root)", "Resource", items.single)


def _html_checks(builder: Builder, base: Code, call: Call, scope: Scope) -> Code:
    """The narrative is checked where the XHTML is parsed."""
    return total("True")


_CONVERSIONS = {
    "String": ("to_string", "string"), "Integer": ("to_integer", "integer"), "Decimal": ("to_decimal", "decimal"),
    "Boolean": ("to_boolean", "boolean"), "Quantity": ("to_quantity", "Quantity"),
}  # fmt: skip

FUNCTIONS: Mapping[str, tuple[int, int, Handler]] = {
    "exists": (0, 1, _exists), "empty": (0, 0, _empty), "count": (0, 0, _count), "not": (0, 0, _not),
    "all": (1, 1, _all), "hasValue": (0, 0, _has_value),
    "allTrue": (0, 0, _conjunction(True, False)), "allFalse": (0, 0, _conjunction(False, False)),
    "anyTrue": (0, 0, _nodes_to_truth("(True in [n[1] for n in {} if n[0] == 'boolean'])")),
    "anyFalse": (0, 0, _nodes_to_truth("(False in [n[1] for n in {} if n[0] == 'boolean'])")),
    "where": (1, 1, _where), "select": (1, 1, _select), "repeat": (1, 1, _repeat), "iif": (2, 3, _iif),
    "trace": (1, 2, _trace),
    "first": (0, 0, _slice("", "1", True)), "last": (0, 0, _slice("-1", "", True)),
    "tail": (0, 0, _slice("1", "", False)),
    "skip": (1, 1, _slice("count_of({n})", "", False)), "take": (1, 1, _slice("", "count_of({n})", False)),
    "single": (0, 0, _single), "ofType": (1, 1, _of_type), "as": (1, 1, _of_type), "is": (1, 1, _is),
    "children": (0, 0, _nodes_to_nodes("children", False)),
    "descendants": (0, 0, _nodes_to_nodes("descendants", False)),
    "distinct": (0, 0, _nodes_to_nodes("distinct", True)), "intersect": (1, 1, _nodes_to_nodes("intersect", True)),
    "exclude": (1, 1, _nodes_to_nodes("exclude", True)), "combine": (1, 1, _combine), "union": (1, 1, _union),
    "isDistinct": (0, 0, _nodes_to_truth("is_distinct({})")),
    "subsetOf": (1, 1, _nodes_to_truth("subset({0}, {1})")), "supersetOf": (1, 1, _nodes_to_truth("subset({1}, {0})")),
    "startsWith": (1, 1, _scalar("starts_with", "boolean")), "endsWith": (1, 1, _scalar("ends_with", "boolean")),
    "contains": (1, 1, _scalar("contains", "boolean")), "matches": (1, 1, _scalar("matches", "boolean")),
    "replaceMatches": (2, 2, _scalar("replace_matches", "string")), "replace": (2, 2, _scalar("replace", "string")),
    "indexOf": (1, 1, _scalar("index_of", "integer")), "substring": (1, 2, _scalar("substring", "string")),
    "upper": (0, 0, _scalar("upper", "string")), "lower": (0, 0, _scalar("lower", "string")),
    "trim": (0, 0, _scalar("trim", "string")), "length": (0, 0, _scalar("length", "integer")),
    "toChars": (0, 0, _characters),
    "extension": (1, 1, _extension), "hasExtension": (1, 1, _has_extension), "resolve": (0, 0, _resolve),
    "getValue": (0, 0, _scalar("system_value", "")), "htmlChecks": (0, 0, _html_checks),
} | {  # fmt: skip
    f"to{name}": (0, 0, _scalar(function, type_name)) for name, (function, type_name) in _CONVERSIONS.items()
} | {
    f"convertsTo{name}": (0, 0, _converts(function)) for name, (function, _) in _CONVERSIONS.items()
} | {
    name: (int(name == "power"), int(name in ("power", "round")), _scalar("mathematics", "decimal", repr(name)))
    for name in ("abs", "ceiling", "floor", "truncate", "round", "sqrt", "exp", "ln", "power")
}
