"""The arguments of a statement while its text is made, and what every part of it needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.store.numbers import TYPE_ID, Numbers
from app.store.predicate import Predicate
from app.store.targets import Key

_NONE: Mapping[Key, int | None] = {}


class Scope:
    """One statement: `bind` gives a value a place among its arguments."""

    def __init__(self, numbers: Numbers, visible: Predicate, targets: Mapping[Key, int | None] = _NONE) -> None:
        """`targets` are the rids of resources that have been looked up; None for those that are not there."""
        self.arguments: list[Any] = []
        self._numbers = numbers
        self._visible = visible
        self._targets = targets

    @property
    def ucum(self) -> Mapping[int, str]:
        """The code of every unit of UCUM that `know_units` found, by its number."""
        return self._numbers.ucum

    def bind(self, value: Any) -> str:
        self.arguments.append(value)
        return f"${len(self.arguments)}"

    def fill(self, template: str, columns: Mapping[str, str], given: Mapping[str, tuple[Any, str]]) -> str:
        """The template with its columns, and with an argument of the given type for each value that it names."""
        found = dict(columns)
        for name, (value, kind) in given.items():
            if f"{{{name}}}" in template:
                found[name] = f"{self.bind(value)}::{kind}"
        return template.format(**found)

    def system(self, uri: str) -> str:
        """The number of a token's system; NULL when no resource has it. Blank stands for no system."""
        number = self._numbers.systems.get(uri)
        return f"(SELECT s.id FROM system AS s WHERE s.uri = {self.bind(uri)})" if number is None else self.bind(number)

    def rid(self, type_name: str, id_: str) -> str:
        """The rid of a resource that was looked up, deleted or not; NULL when there is none."""
        return f"{self.bind(self._targets[TYPE_ID[type_name], id_])}::bigint"

    def living(self, *types: str) -> str:
        """The condition on `r` that it is of one of these types, not deleted, and there for the caller."""
        return f"{self.of_type(types)} AND {self.existing()}"

    def existing(self) -> str:
        """The condition on `r` that it is not deleted, and there for the caller."""
        return f"NOT r.deleted AND {self.seen()}"

    def reachable(self) -> str:
        """The condition on `r` that a link may lead on to it: it is there, or contained in what the link stands in."""
        return f"({self.existing()} OR r.rid < 0)"

    def of_type(self, types: tuple[str, ...]) -> str:
        if len(types) == 1:
            return f"r.type_id = {self.bind(TYPE_ID[types[0]])}"
        return f"r.type_id = ANY ({self.bind([TYPE_ID[name] for name in types])}::smallint[])"

    def seen(self) -> str:
        """The condition on `r` under which it exists for the caller."""
        text = self._visible.numbered(len(self.arguments) + 1)
        self.arguments.extend(self._visible.arguments)
        return f"({text})"
