"""How lines of Python lead from a value to the columns of an index row."""

from __future__ import annotations

from dataclasses import dataclass

from app.fhir.search.text import LONGEST_TOKEN


@dataclass(frozen=True, slots=True)
class Columns:
    """Lines of Python from a value to `columns`, the expressions for the columns of a row, without the parameter.

    `{v}` stands for the name of the value and begins the names of its own; a line that ends with a colon holds all that
    follow. `many` is whether one value may give several rows.
    """

    lines: tuple[str, ...]
    columns: tuple[str, ...]
    many: bool = False


def of_rows(function: str, count: int) -> Columns:
    """The columns of the row, if any, that a function gives."""
    lines = (f"for {{v}}__row in {function}({{v}}):",)
    return Columns(lines, tuple(f"{{v}}__row[{at}]" for at in range(count)))


def shorten(name: str, given: str = "") -> str:
    """What `token_key` does, mostly without a call of it."""
    return f"if {given}len({name}) > {LONGEST_TOKEN}: {name} = token_key({name})"


def required(name: str, source: str) -> tuple[str, ...]:
    """A text of an object; what follows is for objects that have it."""
    made = f"{{v}}__{name}"
    return f"{made} = {source}.get({name!r})", f"if {made} is not None:", shorten(made)


def optional(name: str, source: str) -> tuple[str, ...]:
    made = f"{{v}}__{name}"
    return f"{made} = {source}.get({name!r})", shorten(made, f"{made} and ")
