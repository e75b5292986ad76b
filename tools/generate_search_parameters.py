"""Make `app/fhir/definitions/search-parameters.json` from HL7's search parameters.

Usage: python -m tools.generate_search_parameters SEARCH_PARAMETERS_JSON

The argument is HL7's Bundle (`search-parameters.json` in https://hl7.org/fhir/R4/definitions.json.zip), or a list of
what counts in it.

`more-search-parameters.json` beside this file has those of other guides, in the same form: US Core 6 and later, SDOH
Clinical Care, and HL7's extensions. Two differ from what is published: `race` and `ethnicity` find the Coding, where US
Core finds its code alone, so that `system|code` finds it as well; `workflow-EpisodeOfCare` is also for CareTeam and
Media, which may have the extension in R4.

One line per resource type and parameter. The ids are what the index tables hold: a parameter keeps the id that it
has in the present file, and a new one gets the next free id.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from app.fhir.definitions import resource_types, structure
from app.fhir.search.paths import leaves, union_parts

TARGET = Path(__file__).parent.parent / "app" / "fhir" / "definitions" / "search-parameters.json"
MORE = Path(__file__).parent / "more-search-parameters.json"
LARGEST_ID = 32767  # the columns are smallint

# Held in the resource table itself, so there are no index rows.
COLUMNS = {"_id": "id", "_lastUpdated": "last_updated"}

# These two yield a whole resource inside the bundle: there is no reference to index, only contents to chain into.
WITHOUT_EXPRESSION = {("Bundle", "composition"), ("Bundle", "message")}

# HL7 describes these in words only. `age` is a number of years that changes with time: what can be indexed is the date
# of birth of those who are alive.
DESCRIBED = {
    "patient-extensions-Patient-age": {
        "kind": "date",
        "stated": "number",
        "expression": "Patient.where(deceased.exists().not() or deceased = false).birthDate",
        "multiple": False,
    },
    "patient-extensions-Patient-birthOrderBoolean": {
        "expression": "Patient.multipleBirth.as(boolean)",
        "multiple": False,
    },
}

# Errors of HL7's package in components: a type is written with a capital, and two definitions are exchanged.
EXPRESSION_ERRATA = {"value.as(DateTime)": "value.as(dateTime)"}
DEFINITION_ERRATA = {
    ("DocumentReference-relatesto", "code"): "DocumentReference-relation",
    ("DocumentReference-relation", "target"): "DocumentReference-relatesto",
}

# `Composition.subject.where(resolve() is Patient)`
POINTS_TO = re.compile(r"(.+)\.where\(resolve\(\) is (\w+)\)")

# Datatypes of which one value may give several index rows.
SEVERAL_ROWS = {"CodeableConcept", "HumanName", "Address"}

Row = dict[str, Any]


def for_type(part: str, type_name: str) -> str | None:
    """The part as an expression of this type; None when it belongs to another one."""
    root = re.match(r"\(?(\w+)", part)
    assert root is not None, part
    name = root.group(1)
    if name[0].islower():
        return f"{type_name}.{part}"
    if name in ("Resource", "DomainResource"):
        return part.replace(name, type_name, 1)
    return part if name == type_name else None


def expression_of(definition: Row, type_name: str) -> str | None:
    if not definition.get("expression") or (type_name, definition["code"]) in WITHOUT_EXPRESSION:
        return None
    parts = (for_type(part, type_name) for part in union_parts(definition["expression"]))
    return " | ".join(dict.fromkeys(part for part in parts if part)) or None


def component(row: Row, type_name: str, by_id: dict[str, Row]) -> Row:
    expression = row["expression"].replace("%resource.", f"{type_name}.")
    for wrong, right in EXPRESSION_ERRATA.items():
        expression = expression.replace(wrong, right)
    stated: str = row["definition"]
    definition = by_id[DEFINITION_ERRATA.get((stated, expression), stated)]
    return {"code": definition["code"], "kind": definition["type"], "expression": expression}


def types_of(definition: Row) -> Iterator[str]:
    for base in definition["base"]:
        if base == "Resource":
            yield from resource_types()
        elif base == "DomainResource":
            yield from (name for name in resource_types() if structure(name).base == "DomainResource")
        else:
            yield base


def is_single(row: Row) -> bool:
    """Whether the expression is certain to give no more than one index row. A choice element holds one type only."""
    if row["kind"] == "composite" or "expression" not in row:
        return False
    first, *others = (leaves(part, row["type"]) for part in union_parts(row["expression"]))
    return first is not None and not others and not any(leaf.many or leaf.type in SEVERAL_ROWS for leaf in first)


def row_of(definition: Row, type_name: str, by_id: dict[str, Row]) -> Row:
    row: Row = {"type": type_name, "code": definition["code"], "kind": definition["type"], "url": definition["url"]}
    if definition["code"] in COLUMNS:
        row["column"] = COLUMNS[definition["code"]]
    if expression := expression_of(definition, type_name):
        row["expression"] = expression
    if definition.get("target"):
        row["targets"] = definition["target"]
    if definition.get("component"):
        row["components"] = [component(c, type_name, by_id) for c in definition["component"]]
    if is_single(row):
        row["multiple"] = False
    return row | DESCRIBED.get(definition["id"], {})


def values_of(row: Row) -> frozenset[tuple[str, ...]]:
    """The set that the parameter covers, as a set of names for parts: equal names are equal values."""
    parts = union_parts(row.get("expression", ""))
    components = [f"{c['kind']} {c['expression']}" for c in row.get("components", ())]
    return frozenset((part, *components) for part in parts if part)


def cover(wanted: frozenset[tuple[str, ...]], owners: Iterable[Row]) -> list[str]:
    """The parameters whose values together are exactly `wanted`; empty when there are none."""
    found, missing = [], set(wanted)
    for owner in owners:
        has = values_of(owner)
        if has <= wanted and has & missing:
            found.append(owner["code"])
            missing -= has
    return [] if missing else found


def share_rows(rows: list[Row]) -> None:
    """Find, among the parameters of one type, those whose values others already have."""
    owners: list[Row] = []
    indexed = [row for row in rows if "expression" in row and "column" not in row]
    for row in sorted(indexed, key=lambda row: (len(values_of(row)), row["id"])):
        alike = [owner for owner in owners if owner["kind"] == row["kind"]]
        if codes := cover(values_of(row), alike):
            row["union_of"] = codes
        else:
            owners.append(row)
    for row in owners:
        share_by_target(row, [owner for owner in owners if owner["kind"] == "reference"])


def share_by_target(row: Row, references: list[Row]) -> None:
    """`patient` holds those values of `subject` that point to a Patient."""
    matches = [POINTS_TO.fullmatch(part) for part in union_parts(row["expression"])]
    targets = {match.group(2) for match in matches if match}
    if None in matches or len(targets) != 1:
        return
    wanted = frozenset((match.group(1),) for match in matches if match)
    if codes := cover(wanted, references):
        row |= {"part_of": codes, "target_type": targets.pop()}


def number(rows: list[Row], present: Iterable[Row]) -> None:
    known = {(row["type"], row["code"]): row["id"] for row in present}
    next_id = max(known.values(), default=0) + 1
    for row in rows:
        key = (row["type"], row["code"])
        if key not in known:
            known[key], next_id = next_id, next_id + 1
        row["id"] = known[key]
    assert max(known.values()) <= LARGEST_ID


def generate(definitions: list[Row], present: Iterable[Row]) -> list[Row]:
    by_id = {definition["id"]: definition for definition in definitions}
    rows = [row_of(definition, name, by_id) for definition in definitions for name in types_of(definition)]
    rows.sort(key=lambda row: (row["type"], row["code"]))
    number(rows, present)
    for name in resource_types():
        share_rows([row for row in rows if row["type"] == name])
    return rows


def definitions(found: Any) -> list[Row]:
    """Of HL7's Bundle the resources, with components that name their definitions by id; a list stays what it is."""
    if isinstance(found, list):
        return found
    listed: list[Row] = [entry["resource"] for entry in found["entry"]]
    for part in (part for definition in listed for part in definition.get("component", ())):
        part["definition"] = part["definition"].rpartition("/")[2]
    return listed


def main(source: Path) -> None:
    present = json.loads(TARGET.read_text()) if TARGET.exists() else []
    rows = generate(definitions(json.loads(source.read_text())) + json.loads(MORE.read_text()), present)
    lines = ",\n".join(json.dumps({"id": row["id"]} | row, separators=(",", ":")) for row in rows)
    TARGET.write_text("[\n" + lines + "\n]\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
