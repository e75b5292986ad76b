"""What the parts of the compiler share: names, constants, and source for the questions asked of a collection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

from app.fhir.fhirpath.ast import Binary, Call, Expression, Index, Literal, Member, Unary, Variable, parts
from app.fhir.fhirpath.code import Code, Items, Names, Truth, comprehension, opaque, partial, total
from app.fhir.fhirpath.types import STRINGS

# Functions whose arguments do not see the `$this` around the call: they have one of their own, or name a type.
_CLOSED = frozenset(("where", "select", "all", "exists", "repeat", "trace", "iif", "ofType", "as", "is"))


@dataclass(frozen=True, slots=True)
class Scope:
    """What `$this` and `$index` mean. `inner` is true within a criterion, which runs once for each item."""

    this: Items
    index: Items | None = None
    inner: bool = False


class Builder(ABC):
    """Collects the constants that the source refers to, and writes the source of common questions."""

    def __init__(self, variables: dict[str, Items]) -> None:
        self.names = Names()
        self.constants: dict[str, Any] = {}
        self.variables = variables
        self.has_memo = False

    @abstractmethod
    def visit(self, node: Expression, scope: Scope) -> Code:
        """The code of an expression."""

    def constant(self, value: Any) -> str:
        name = self.names("K")
        self.constants[name] = value
        return name

    def memo(self, source: str) -> str:
        """`source`, worked out once for each call of the compiled function."""
        self.has_memo = True
        return f"memo(m, {self.names('')}, lambda: {source})"

    # From one form to another

    def truth(self, code: Code) -> Truth:
        """Singleton evaluation where a Boolean is expected (http://hl7.org/fhirpath/N1, section 4.5)."""
        if isinstance(code, Truth):
            return code
        if code.never:
            return Truth("False", "False", "None")
        if code.type == "boolean" and code.is_plain:
            if code.value in ("True", "False"):
                return total(code.value)
            return Truth(f"({code.value} is True)", f"({code.value} is False)", code.value)
        return opaque(f"truth({self.nodes(code)})")

    def items(self, code: Code) -> Items:
        if isinstance(code, Items):
            return code
        return Items((), code.value, "boolean", "'boolean'", optional=not code.is_total)

    def nodes(self, code: Code) -> str:
        """A list of (type, value, extra)."""
        items = self.names.bound(self.items(code))
        return comprehension(f"({items.type_source}, {items.value}, {items.extra})", items.clauses)

    def one(self, code: Code) -> str:
        """The value when there is exactly one item, otherwise None."""
        items = self.items(code)
        if items.never:
            return "None"
        return items.value if items.is_plain and items.single else f"single({self.nodes(items)})"

    def exists(self, code: Code) -> str:
        items = self.items(code).all
        if items.never:
            return "False"
        if items.exists:
            return items.exists
        if items.is_plain:
            return self._plain_exists(items)
        bound = self.names.bound(items)
        return f"({comprehension('1', bound.clauses)} != [])"

    @staticmethod
    def _plain_exists(items: Items) -> str:
        if not items.optional:
            return "True"
        test = f"{items.value} is not None"
        return f"({test})" if items.extra == "None" else f"({test} or {items.extra} is not None)"

    def count(self, code: Code) -> str:
        items = self.items(code).all
        if items.is_plain or items.never:
            return f"(1 if {self.exists(items)} else 0)"
        return f"len({comprehension('1', self.names.bound(items).clauses)})"

    def is_text(self, code: Code) -> bool:
        """Whether the code is a plain expression of one string."""
        return isinstance(code, Items) and code.is_plain and code.single and code.type in STRINGS

    def equals_text(self, items: Items, literal: str) -> Truth:
        if not items.optional:
            return total(f"({items.value} == {literal})")
        return partial(f"({items.value} == {literal})", f"({items.value} not in (None, {literal}))")

    # Criteria

    def each(self, items: Items) -> tuple[Items, Items]:
        """The collection with its items bound to a name, and `$this` for one of them."""
        bound = self.names.bound(items)
        if not bound.value.isidentifier():
            name = self.names("v")
            bound = replace(bound, clauses=(*bound.clauses, f"for {name} in [{bound.value}]"), value=name)
        optional = bound.extra != "None"
        bound = replace(bound, exists="", step=None, whole=None, optional=optional)
        return bound, replace(bound, clauses=(), single=True)

    def is_constant(self, node: Expression) -> bool:
        """Whether the value is the same for every item of a criterion: it does not depend on `$this`."""
        match node:
            case Literal():
                return True
            case Variable(name):
                return name.startswith("%")
            case Member(base, _):
                return base is not None and self.is_constant(base)
            case Call(base, name, arguments):
                fixed = name in _CLOSED or all(map(self.is_constant, arguments))
                return base is not None and self.is_constant(base) and fixed
            case Binary("is" | "as", left, _):
                return self.is_constant(left)
            case Index() | Binary() | Unary():
                return all(map(self.is_constant, parts(node)))
            case _:
                return False
