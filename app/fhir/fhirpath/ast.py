"""The syntax tree of FHIRPath (http://hl7.org/fhirpath/N1, section 12)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant: its FHIR type, its text without quotes and escapes, and the unit of a quantity."""

    type: str
    text: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Nothing:
    """The empty collection, `{}`."""


@dataclass(frozen=True, slots=True)
class Variable:
    """`$this`, `$index` or `%name`, with the sign."""

    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """`base.name`; base is None at the start of a path."""

    base: Expression | None
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """`base.name(arguments)`; base is None at the start of a path."""

    base: Expression | None
    name: str
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """`base[index]`."""

    base: Expression
    index: Expression


@dataclass(frozen=True, slots=True)
class Unary:
    """`-operand` or `+operand`."""

    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    """`left operator right`; for `is` and `as` the right side is a path of names that spells a type."""

    operator: str
    left: Expression
    right: Expression


Expression = Literal | Nothing | Variable | Member | Call | Index | Unary | Binary


def parts(node: Expression) -> tuple[Expression, ...]:
    """The direct operands of `node`."""
    match node:
        case Member(base, _):
            return (base,) if base else ()
        case Call(base, _, arguments):
            return (base, *arguments) if base else arguments
        case Index(left, right) | Binary(_, left, right):
            return left, right
        case Unary(_, operand):
            return (operand,)
        case _:
            return ()
