"""One function per resource type for all its index rows, made as Python source.

Each way to a row is a chain of lines, of which those that end with a colon hold all that follow. Chains that begin
alike are printed once as far as they are alike, so that parameters of the same element share the walk to it. The
source is made of the R4 definitions; nothing that a client sent enters it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.fhir.search.rows import IndexRows

Lines = tuple[str, ...]
Step = Callable[[Any, IndexRows], None]
VALUE, ROWS = "value", "rows"
"""The names of what the lines of a chain start from: a resource or another value, and its IndexRows."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The lines that add rows of one parameter to `tables`, for values that stand in one `element` of the resource.

    `many` is whether they may add several rows to a table; `names` is what else the lines name.
    """

    param: int
    tables: tuple[str, ...]
    element: str
    lines: Lines
    many: bool
    names: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Tree:
    """Lines that follow alike lines, each with what follows it."""

    after: dict[str, _Tree] = field(default_factory=dict)

    def add(self, lines: Lines) -> None:
        at = self
        for line in lines:
            at = at.after.setdefault(line, _Tree())

    def printed(self, indent: str) -> Iterator[str]:
        for line, tree in self.after.items():
            yield indent + line
            yield from tree.printed(indent + "    " if line.endswith(":") else indent)


def step_of(chains: Sequence[Chain], names: Mapping[str, Any]) -> Step:
    """A function that adds the rows of all chains without duplicates."""
    tables = dict.fromkeys(table for chain in chains for table in chain.tables)
    lines = [f"def step({VALUE}, {ROWS}):", *(f"    {table} = {ROWS}.{table}" for table in tables)]
    for head, group in _groups(chains).items():
        lines += _block(head, group)
    lines += [f"    if len({table}) > 1: {table}[:] = dict.fromkeys({table})" for table in _spread(chains)]
    space = {**names, **{name: value for chain in chains for name, value in chain.names.items()}}
    exec(compile("\n".join([*lines, "    return"]), "<rows>", "exec"), space)  # noqa: S102 - the definitions only
    made: Step = space["step"]
    return made


def _groups(chains: Sequence[Chain]) -> Mapping[Lines, list[Chain]]:
    """The chains by the lines down to the condition that there is such an element."""
    groups: dict[Lines, list[Chain]] = {}
    for chain in chains:
        first = next((at for at, line in enumerate(chain.lines) if line.endswith(":")), 0)
        head = chain.lines[: first + 1] if chain.lines[first].startswith("if ") else ()
        groups.setdefault(head, []).append(chain)
    return groups


def _block(head: Lines, chains: Sequence[Chain]) -> Iterator[str]:
    yield from (f"    {line}" for line in head)
    indent = "        " if head else "    "
    repeated = _repeated(chains)
    yield from (f"{indent}had_{table} = len({table})" for table in repeated)
    tree = _Tree()
    for chain in chains:
        tree.add(chain.lines[len(head) :])
    yield from tree.printed(indent)
    for table in repeated:
        added = f"{table}[had_{table}:]"
        yield f"{indent}if len({table}) > had_{table} + 1: {added} = dict.fromkeys({added})"


def _repeated(chains: Sequence[Chain]) -> list[str]:
    """The tables to which the chains of one block may add a row twice."""
    seen: set[tuple[str, int]] = set()
    found: dict[str, None] = {}
    for chain in chains:
        for table in chain.tables:
            if chain.many or (table, chain.param) in seen:
                found[table] = None
            seen.add((table, chain.param))
    return list(found)


def _spread(chains: Sequence[Chain]) -> list[str]:
    """The tables in which one parameter has rows of several elements, which may be the same."""
    elements: dict[tuple[str, int], set[str]] = {}
    for chain in chains:
        for table in chain.tables:
            elements.setdefault((table, chain.param), set()).add(chain.element)
    return list(dict.fromkeys(table for (table, _), several in elements.items() if len(several) > 1))
