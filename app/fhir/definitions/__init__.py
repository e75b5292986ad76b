"""The R4 4.0.1 definitions as Python values. The JSON beside this file is made by `tools/generate_definitions.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True)
class ElementType:
    """One type that an element may have: `code` such as `Quantity`; `targets` of a Reference or canonical."""

    code: str
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a structure.

    `path` is the R4 path, `Observation.component.value[x]`; `name` its last part without `[x]`.
    `max` is None for `*`. `codes` is the value set URL of a required binding.
    `same_as` is the path whose children this element shares (R4 `contentReference`).
    """

    path: str
    name: str
    min: int
    max: int | None
    types: tuple[ElementType, ...]
    choice: bool
    codes: str | None
    same_as: str | None
    summary: bool
    modifier: bool

    @property
    def is_list(self) -> bool:
        return self.max is None or self.max > 1

    def json_names(self) -> dict[str, ElementType | None]:
        """The JSON property names of this element, each with its type: `valueQuantity` and so on for a choice."""
        if self.choice:
            return {self.name + t.code[0].upper() + t.code[1:]: t for t in self.types}
        return {self.name: self.types[0] if self.types else None}


@dataclass(frozen=True, slots=True)
class Structure:
    """A resource, a complex type or a primitive type. `kind` is `resource`, `complex-type` or `primitive-type`."""

    name: str
    kind: str
    abstract: bool
    base: str
    elements: Mapping[str, Element]


@dataclass(frozen=True, slots=True)
class Invariant:
    """A constraint of R4: `path` is where it applies, `expression` is FHIRPath, `severity` is `error` or `warning`."""

    path: str
    key: str
    severity: str
    human: str
    expression: str


def load_table(name: str) -> Any:
    return json.loads(resources.files(__name__).joinpath(name).read_bytes())


def _element_type(text: str) -> ElementType:
    code, _, targets = text.rstrip(")").partition("(")
    return ElementType(code, tuple(targets.split("|")) if targets else ())


def _element(path: str, row: Mapping[str, Any]) -> Element:
    last = path.rpartition(".")[2]
    return Element(
        path=path,
        name=last.removesuffix("[x]"),
        min=row["min"],
        max=None if row["max"] == "*" else int(row["max"]),
        types=tuple(_element_type(text) for text in row.get("types", ())),
        choice=last.endswith("[x]"),
        codes=row.get("codes"),
        same_as=row.get("same_as"),
        summary=row.get("summary", False),
        modifier=row.get("modifier", False),
    )


@cache
def _type_rows() -> Mapping[str, Any]:
    rows: Mapping[str, Any] = load_table("types.json")
    return rows


@cache
def structure(name: str) -> Structure:
    """The structure called `name`. Raises KeyError when R4 has none."""
    row = _type_rows()[name]
    elements = {path: _element(path, element) for path, element in row["elements"].items()}
    return Structure(name, row["kind"], row["abstract"], row["base"], elements)


@cache
def children(path: str) -> Mapping[str, Element]:
    """The direct child elements by name of a type (`HumanName`) or of a backbone element (`Patient.contact`)."""
    depth = path.count(".") + 1
    elements = structure(path.partition(".")[0]).elements
    return {e.name: e for p, e in elements.items() if p.startswith(path + ".") and p.count(".") == depth}


@cache
def resource_types() -> tuple[str, ...]:
    """Every concrete R4 resource type, in alphabetical order."""
    return tuple(sorted(n for n, row in _type_rows().items() if row["kind"] == "resource" and not row["abstract"]))


@cache
def is_resource_type(name: str) -> bool:
    row = _type_rows().get(name)
    return row is not None and row["kind"] == "resource" and not row["abstract"]


@cache
def is_primitive(name: str) -> bool:
    return bool(_type_rows()[name]["kind"] == "primitive-type")


@cache
def required_codes() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """The codes of each required value set, by system. Value sets that cannot be listed (mime types) are absent."""
    table = load_table("required-codes.json")
    return {url: {system: tuple(codes) for system, codes in systems.items()} for url, systems in table.items()}


@cache
def invariants() -> tuple[Invariant, ...]:
    return tuple(Invariant(**row) for row in load_table("invariants.json"))


@cache
def compartments() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Compartment type → resource type → the search parameters that put a resource into it (`{def}`: itself)."""
    table = load_table("compartments.json")
    return {name: {type_name: tuple(codes) for type_name, codes in row.items()} for name, row in table.items()}
