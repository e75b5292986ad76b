"""Syntax tree to one Python function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from app.fhir.fhirpath import functions, nodes, scalars, values
from app.fhir.fhirpath.ast import Binary, Call, Expression, Index, Literal, Member, Unary, Variable
from app.fhir.fhirpath.builder import Builder, Scope
from app.fhir.fhirpath.code import NOTHING, Code, Items, comprehension
from app.fhir.fhirpath.errors import FhirPathError
from app.fhir.fhirpath.library import FUNCTIONS, Use
from app.fhir.fhirpath.navigation import narrow, step, type_source
from app.fhir.fhirpath.operators import OPERATORS
from app.fhir.fhirpath.parser import parse
from app.fhir.fhirpath.types import PRIMITIVES, context_step, is_a, is_dynamic, is_resource, is_type, steps
from app.fhir.json import Number

_TEXTS = {
    "%ucum": "http://unitsofmeasure.org",
    "%loinc": "http://loinc.org",
    "%sct": "http://snomed.info/sct",
}
_UCUM = {
    "year": "a", "month": "mo", "week": "wk", "day": "d", "hour": "h", "minute": "min", "second": "s",
    "millisecond": "ms",
}  # fmt: skip
# What content that is not valid R4 can make compiled code raise. The function then has no answer.
_ODD = (AttributeError, TypeError, KeyError, IndexError, ValueError, ArithmeticError, RecursionError)


def _memo(found: dict[int, Any], slot: int, work: Callable[[], Any]) -> Any:
    if slot not in found:
        found[slot] = work()
    return found[slot]


def _only(found: list[Any]) -> list[Any]:
    return found if len(found) == 1 else []


def _system_type(value: Any) -> str:
    return "boolean" if isinstance(value, bool) else _SYSTEM_TYPES.get(type(value), "decimal")


_SYSTEM_TYPES: Mapping[type, str] = {str: "string", int: "integer", dict: "Quantity"}
_MODULES = (values, nodes, scalars, functions)
_RUNTIME: Mapping[str, Any] = {
    **{name: value for module in _MODULES for name, value in vars(module).items() if name[0] != "_"},
    "memo": _memo, "only": _only, "system_type": _system_type, "E": {}, "ODD": _ODD,
}  # fmt: skip


class Compiler(Builder):
    """One expression in one context."""

    def __init__(self, context: str) -> None:
        this = _context(context)
        root = context.partition(".")[0]
        container = root if is_resource(root) else "Resource"
        super().__init__({
            "%context": this,
            "%resource": Items((), "resource", container, type_source(container, "resource")),
            "%rootResource": Items((), "root", "Resource", type_source("Resource", "root")),
            **{name: Items((), repr(text), "string", "'string'") for name, text in _TEXTS.items()},
        })  # fmt: skip
        self.scope = Scope(this)

    def visit(self, node: Expression, scope: Scope) -> Code:
        code = self._visit(node, scope)
        if not (scope.inner and isinstance(code, Items) and code.clauses and self.is_constant(node)) or code.never:
            return code
        return self.names.from_nodes(self.memo(self.nodes(code)), code.type, code.single)

    def _visit(self, node: Expression, scope: Scope) -> Code:
        match node:
            case Member(None, name):
                return self._first(name, scope)
            case Member(base, name) if base is not None:
                return step(self, self.items(self.visit(base, scope)), name)
            case Call():
                return self._call(node, scope)
            case Binary(operator, _, _):
                return OPERATORS[operator](self, node, scope)
            case Literal():
                return self._literal(node)
            case Variable(name):
                return self._variable(name, scope)
            case Index(base, index):
                return self._index(base, index, scope)
            case Unary(_, operand):
                items = self.items(self.visit(operand, scope))
                return Items((), f"negative({self.one(items)})", items.type, items.type_source, optional=True)
            case _:
                return NOTHING

    def _first(self, name: str, scope: Scope) -> Items:
        """The start of a path: an element of `$this`, or the type that `$this` has."""
        this = scope.this
        if not is_type(name) or name in steps(this.type):
            return step(self, this, name)
        if this.type and is_a(this.type, name):
            return this
        return narrow(self, this, name) if is_dynamic(this.type) else NOTHING

    def _call(self, node: Call, scope: Scope) -> Code:
        if node.name not in FUNCTIONS:
            raise FhirPathError("The expression calls a function that is not offered here.")
        least, most, handler = FUNCTIONS[node.name]
        if not least <= len(node.arguments) <= most:
            raise FhirPathError(f"{node.name}() has the wrong number of arguments.")
        base = scope.this if node.base is None else self.visit(node.base, scope)
        return handler(Use(self, node, base, scope))

    def _literal(self, node: Literal) -> Items:
        if node.type == "boolean":
            return Items((), node.text.capitalize(), "boolean", "'boolean'")
        if node.type == "integer" and len(node.text) < 19:
            return Items((), str(int(node.text)), "integer", "'integer'")
        if node.type in ("integer", "decimal"):
            return Items((), self.constant(Number(node.text)), "decimal", "'decimal'")
        if node.type == "Quantity":
            code = _UCUM.get(node.unit.removesuffix("s"), node.unit)
            quantity = {"value": Number(node.text), "system": _TEXTS["%ucum"], "code": code}
            return Items((), self.constant(quantity), "Quantity", "'Quantity'")
        return Items((), repr(node.text), node.type, repr(node.type))

    def _variable(self, name: str, scope: Scope) -> Items:
        if name == "$this":
            return scope.this
        found = self.variables.get(name)
        if found is None:
            raise FhirPathError("The expression names a variable that is not defined here.")
        return found

    def _index(self, base: Expression, index: Expression, scope: Scope) -> Items:
        items, at = self.items(self.visit(base, scope)), self.one(self.visit(index, scope))
        if items.never:
            return NOTHING
        start = at if at.isdecimal() else f"whole_number({at})"
        return self.names.from_nodes(f"{self.nodes(items)}[{start}:][:1]", items.type, True)


def _context(context: str) -> Items:
    """The value `v` that a compiled function is given."""
    kinds = list(context_step(context).properties.values())
    if len(kinds) == 1:
        return Items((), "v", kinds[0], type_source(kinds[0], "v"))
    objects = [kind for kind in kinds if kind not in PRIMITIVES]
    others = [kind for kind in kinds if kind in PRIMITIVES]
    source = f"({(objects or kinds)[0]!r} if isinstance(v, dict) else {(others or kinds)[0]!r})"
    return Items((), "v", "", source)


def branches(node: Expression) -> list[Expression]:
    """The operands of a union, or the node itself."""
    if isinstance(node, Binary) and node.operator == "|":
        return branches(node.left) + branches(node.right)
    return [node]


def path_source(expression: str, context: str) -> tuple[str, Mapping[str, Any]]:
    """The source of a function that lists the nodes of a path, and its constants."""
    compiler = Compiler(context)
    lists = [source for node in branches(parse(expression)) if (source := _branch(compiler, node))]
    if not lists:
        body = "[]"
    else:
        body = lists[0] if len(lists) == 1 else "[" + ", ".join(f"*{source}" for source in lists) + "]"
    return _source(compiler, "v, resource=None", body, "[]"), compiler.constants


def _branch(compiler: Compiler, node: Expression) -> str:
    items = compiler.items(compiler.visit(node, compiler.scope))
    if items.never:
        return ""
    if items.is_plain and items.optional:
        name = compiler.names("v")
        kind = items.type_source.replace(items.value, name)
        return f"([({kind}, {name})] if ({name} := {items.value}) is not None else [])"
    items = compiler.names.with_value(items)
    return comprehension(f"({items.type_source}, {items.value})", items.clauses)


def predicate_source(node: Expression, context: str) -> tuple[str, Mapping[str, Any]]:
    """The source of a function that decides an invariant, and its constants."""
    compiler = Compiler(context)
    truth = compiler.truth(compiler.visit(node, compiler.scope))
    return _source(compiler, "v, resource, root", truth.value, "None"), compiler.constants


def predicate(node: Expression, context: str) -> Callable[[Any, Any, Any], bool | None]:
    """The function that decides an expression for a value, its resource and its root resource."""
    decides: Callable[[Any, Any, Any], bool | None] = build(lambda: predicate_source(node, context))
    return decides


criterion = lru_cache(maxsize=2048)(predicate)


def _source(compiler: Compiler, parameters: str, body: str, otherwise: str) -> str:
    lines = [f"def compiled({parameters}):"]
    if "=None" in parameters:
        lines += ["    resource = root = v if resource is None else resource"] * ("resource" in body or "root" in body)
    lines += ["    m = {}"] * compiler.has_memo
    lines += ["    try:", f"        return {body}", "    except ODD:", f"        return {otherwise}", ""]
    return "\n".join(lines)


def build(write: Callable[[], tuple[str, Mapping[str, Any]]]) -> Any:
    """The function that the source and the constants from `write` define."""
    try:
        source, constants = write()
        namespace: dict[str, Any] = {**_RUNTIME, **constants}
        exec(compile(source, "<FHIRPath>", "exec"), namespace)  # noqa: S102 - made of repr() and fixed text only
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise FhirPathError("The expression is too complex.") from error
    return namespace["compiled"]
