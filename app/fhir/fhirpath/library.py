"""Source for the functions of FHIRPath (http://hl7.org/fhirpath/N1, 5) and of FHIR (R4 fhirpath.html, 2.1.9.1.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from app.fhir.fhirpath.ast import Call, Expression, Literal, Nothing
from app.fhir.fhirpath.builder import Builder, Scope
from app.fhir.fhirpath.code import NOTHING, Code, Items, Truth, opaque, total
from app.fhir.fhirpath.errors import FhirPathError
from app.fhir.fhirpath.navigation import narrow, step
from app.fhir.fhirpath.operators import is_type, negated, type_specifier, union
from app.fhir.fhirpath.types import PRIMITIVES


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a function: on `base`, or on `$this` when the call stands at the start of a path."""

    builder: Builder
    call: Call
    base: Code
    scope: Scope

    @property
    def items(self) -> Items:
        return self.builder.items(self.base)

    @property
    def argument(self) -> Expression:
        return self.call.arguments[0]

    def nodes(self) -> str:
        """The base as a list of nodes."""
        return self.builder.nodes(self.base)

    def arguments(self) -> list[Code]:
        """The arguments, in the scope of the call."""
        return [self.builder.visit(argument, self.scope) for argument in self.call.arguments]

    def for_each(self, this: Items) -> Code:
        """The first argument for one item."""
        return self.builder.visit(self.argument, Scope(this, inner=True))

    def criterion(self) -> tuple[Items, Truth]:
        """The items of the base, and the criterion for one of them."""
        bound, this = self.builder.each(self.items)
        return bound, self.builder.truth(self.for_each(this))

    def listed(self, source: str, type_name: str = "", single: bool = False) -> Items:
        """The items of a list of nodes."""
        return self.builder.names.from_nodes(source, type_name, single)


Handler = Callable[[Use], Code]
ALWAYS = ("for _ in (0,)",)


# Existence


def _exists(use: Use) -> Code:
    return total(use.builder.exists(_where(use) if use.call.arguments else use.base))


def _empty(use: Use) -> Code:
    return negated(total(use.builder.exists(use.base)))


def _count(use: Use) -> Code:
    return Items((), use.builder.count(use.base), "integer", "'integer'")


def _not(use: Use) -> Code:
    return negated(use.builder.truth(use.base))


def _has_value(use: Use) -> Code:
    items = use.items
    if items.is_plain and items.single and items.type in PRIMITIVES:
        return total(f"({items.value} is not None)")
    return total(f"has_value({use.nodes()})")


def _all(use: Use) -> Code:
    if use.items.never:
        return total("True")
    bound, criterion = use.criterion()
    clauses = bound.clauses or ALWAYS
    return total(f"([1 {' '.join(clauses)} if not {criterion.true}] == [])")


def _conjunction(wanted: bool) -> Handler:
    return lambda use: total(f"conjunction([n[1] for n in {use.nodes()}], {wanted})")


def _any(wanted: bool) -> Handler:
    return lambda use: total(f"({wanted} in [n[1] for n in {use.nodes()} if n[0] == 'boolean'])")


# Filters and projections


def _where(use: Use) -> Items:
    if use.items.never:
        return NOTHING
    bound, criterion = use.criterion()
    return replace(bound, clauses=(*(bound.clauses or ALWAYS), f"if {criterion.true}"))


def _select(use: Use) -> Code:
    if use.items.never:
        return NOTHING
    bound, this = use.builder.each(use.items)
    return use.builder.items(use.for_each(this)).under(bound.clauses, bound.single)


def _repeat(use: Use) -> Code:
    names, builder = use.builder.names, use.builder
    kind, value, extra, level = (names(letter) for letter in "tven")
    projected = builder.items(use.for_each(Items((), value, "", kind, extra, optional=True)))
    step = builder.nodes(projected.under((f"for {kind}, {value}, {extra} in {level}",), False))
    return use.listed(f"repeat({use.nodes()}, lambda {level}: {step})")


def _slice(start: str, stop: str, single: bool) -> Handler:
    """A slice of the items, its bounds perhaps from the argument."""

    def handler(use: Use) -> Code:
        items = use.items
        if items.never:
            return NOTHING
        n = use.builder.one(use.arguments()[0]) if use.call.arguments else "0"
        return use.listed(f"{use.nodes()}[{start.format(n=n)}:{stop.format(n=n)}]", items.type, single or items.single)

    return handler


def _single(use: Use) -> Code:
    items = use.items
    return items if items.never or items.single else use.listed(f"only({use.nodes()})", items.type, True)


def _of_type(use: Use) -> Code:
    return narrow(use.builder, use.items, type_specifier(use.argument))


def _is(use: Use) -> Code:
    wanted = type_specifier(use.argument)
    if use.call.base is not None:
        return is_type(use.builder, use.call.base, wanted, use.scope)
    return opaque(f"is_of_type({use.nodes()}, {wanted!r})")


def _iif(use: Use) -> Code:
    """The arguments see the whole collection as `$this`: `iif(empty(), …)`."""
    builder, inner = use.builder, Scope(use.items, inner=use.scope.inner)
    condition = builder.truth(builder.visit(use.argument, inner)).true
    then, otherwise = (builder.visit(a, inner) for a in (*use.call.arguments[1:], Nothing())[:2])
    if isinstance(then, Truth) or isinstance(otherwise, Truth):
        return opaque(f"({builder.truth(then).value} if {condition} else {builder.truth(otherwise).value})")
    source = f"({builder.nodes(then)} if {condition} else {builder.nodes(otherwise)})"
    return use.listed(source, then.type if then.type == otherwise.type else "", then.single and otherwise.single)


def _trace(use: Use) -> Code:
    return use.base


# Collections


def _nodes_to_nodes(function: str, keeps_type: bool) -> Handler:
    """A function of the collection and perhaps another one."""

    def handler(use: Use) -> Code:
        others = "".join(f", {use.builder.nodes(argument)}" for argument in use.arguments())
        return use.listed(f"{function}({use.nodes()}{others})", use.items.type if keeps_type else "")

    return handler


def _nodes_to_truth(source: str) -> Handler:
    return lambda use: total(source.format(use.nodes(), *map(use.builder.nodes, use.arguments())))


def _combine(use: Use) -> Code:
    return use.listed(f"[*{use.nodes()}, *{use.builder.nodes(use.arguments()[0])}]")


def _union(use: Use) -> Code:
    return union(use.builder, use.items, use.builder.items(use.arguments()[0]))


# Single values


def _scalar(function: str, type_name: str, first: str = "") -> Handler:
    """A function of one value and its arguments; the result is empty when there is no single value."""

    def handler(use: Use) -> Code:
        values = [first] * bool(first) + [use.builder.one(code) for code in (use.base, *use.arguments())]
        source = f"{function}({', '.join(values)})"
        if type_name == "boolean":
            return opaque(source)
        return Items((), source, type_name, repr(type_name) if type_name else f"system_type({source})", optional=True)

    return handler


def _converts(function: str) -> Handler:
    return lambda use: total(f"({function}({use.builder.one(use.base)}) is not None)")


def _characters(use: Use) -> Code:
    return use.listed(f"characters({use.builder.one(use.base)})", "string")


# FHIR


def _extension(use: Use) -> Items:
    found = step(use.builder, use.items, "extension")
    if found.never:
        return NOTHING
    if not isinstance(use.argument, Literal) or use.argument.type != "string":
        raise FhirPathError("extension() needs the URL as a literal.")
    bound, this = use.builder.each(found)
    return replace(bound, clauses=(*bound.clauses, f"if {this.value}.get('url') == {use.argument.text!r}"))


def _has_extension(use: Use) -> Code:
    return total(use.builder.exists(_extension(use)))


def _resolve(use: Use) -> Code:
    return use.listed(f"resolve({use.nodes()}, root)", "Resource", use.items.single)


def _always_true(_: Use) -> Code:
    """htmlChecks(): the narrative is checked where the XHTML is parsed."""
    return total("True")


# fmt: off
_CONVERSIONS = {
    "String": ("to_string", "string"), "Integer": ("to_integer", "integer"), "Decimal": ("to_decimal", "decimal"),
    "Boolean": ("to_boolean", "boolean"), "Quantity": ("to_quantity", "Quantity"),
}
_TEXTS = {
    "startsWith": ("starts_with", 1, 1, "boolean"), "endsWith": ("ends_with", 1, 1, "boolean"),
    "contains": ("contains", 1, 1, "boolean"), "matches": ("matches", 1, 1, "boolean"),
    "replaceMatches": ("replace_matches", 2, 2, "string"), "replace": ("replace", 2, 2, "string"),
    "indexOf": ("index_of", 1, 1, "integer"), "substring": ("substring", 1, 2, "string"),
    "upper": ("upper", 0, 0, "string"), "lower": ("lower", 0, 0, "string"), "trim": ("trim", 0, 0, "string"),
    "length": ("length", 0, 0, "integer"), "getValue": ("system_value", 0, 0, ""),
}
_MATHEMATICS = {
    "abs": (0, 0), "ceiling": (0, 0), "floor": (0, 0), "truncate": (0, 0), "round": (0, 1), "sqrt": (0, 0),
    "exp": (0, 0), "ln": (0, 0), "power": (1, 1),
}

FUNCTIONS: Mapping[str, tuple[int, int, Handler]] = {
    "exists": (0, 1, _exists), "empty": (0, 0, _empty), "count": (0, 0, _count), "not": (0, 0, _not),
    "hasValue": (0, 0, _has_value), "all": (1, 1, _all), "isDistinct": (0, 0, _nodes_to_truth("is_distinct({})")),
    "allTrue": (0, 0, _conjunction(True)), "allFalse": (0, 0, _conjunction(False)),
    "anyTrue": (0, 0, _any(True)), "anyFalse": (0, 0, _any(False)),
    "subsetOf": (1, 1, _nodes_to_truth("subset({0}, {1})")), "supersetOf": (1, 1, _nodes_to_truth("subset({1}, {0})")),

    "where": (1, 1, _where), "select": (1, 1, _select), "repeat": (1, 1, _repeat), "iif": (2, 3, _iif),
    "ofType": (1, 1, _of_type), "as": (1, 1, _of_type), "is": (1, 1, _is), "trace": (1, 2, _trace),
    "first": (0, 0, _slice("", "1", True)), "last": (0, 0, _slice("-1", "", True)),
    "tail": (0, 0, _slice("1", "", False)), "single": (0, 0, _single),
    "skip": (1, 1, _slice("count_of({n})", "", False)), "take": (1, 1, _slice("", "count_of({n})", False)),

    "children": (0, 0, _nodes_to_nodes("children", False)),
    "descendants": (0, 0, _nodes_to_nodes("descendants", False)),
    "distinct": (0, 0, _nodes_to_nodes("distinct", True)), "intersect": (1, 1, _nodes_to_nodes("intersect", True)),
    "exclude": (1, 1, _nodes_to_nodes("exclude", True)), "combine": (1, 1, _combine), "union": (1, 1, _union),

    "extension": (1, 1, _extension), "hasExtension": (1, 1, _has_extension), "resolve": (0, 0, _resolve),
    "htmlChecks": (0, 0, _always_true), "toChars": (0, 0, _characters),

    **{name: (least, most, _scalar(function, kind)) for name, (function, least, most, kind) in _TEXTS.items()},
    **{name: (*arity, _scalar("mathematics", "decimal", repr(name))) for name, arity in _MATHEMATICS.items()},
    **{f"to{name}": (0, 0, _scalar(*conversion)) for name, conversion in _CONVERSIONS.items()},
    **{f"convertsTo{name}": (0, 0, _converts(function)) for name, (function, _) in _CONVERSIONS.items()},
}
# fmt: on
