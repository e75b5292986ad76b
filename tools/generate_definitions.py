"""Make the compact R4 tables of `app/fhir/definitions` from the condensed HL7 definitions.

Usage: python tools/generate_definitions.py DEFINITIONS_DIRECTORY

Reads `types.json`, `required-codes.json`, `invariants.json` and `compartments.json` (HL7 FHIR R4 4.0.1, CC0)
and writes one line per type, value set, invariant or compartment, so that a change is readable as a diff.
"""

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent.parent / "app" / "fhir" / "definitions"

# HL7's package spells the appointment status of app-4 wrongly: the code system has `noshow`.
ERRATA = {("Appointment", "app-4"): ("'no-show'", "'noshow'")}


def element(definition: dict[str, Any]) -> dict[str, Any]:
    """Shorten one element: `types` becomes `["Reference(Patient|Group)"]`, defaults are left out."""
    short: dict[str, Any] = {"min": definition["min"], "max": definition["max"]}
    types = [
        t["code"] + (f"({'|'.join(t['targets'])})" if t.get("targets") else "") for t in definition.get("types", [])
    ]
    if types:
        short["types"] = types
    binding = definition.get("binding")
    if binding and binding["strength"] == "required":
        short["codes"] = binding["valueSet"].split("|")[0]
    if "contentReference" in definition:
        short["same_as"] = definition["contentReference"].split("#")[-1]
    for flag in ("summary", "modifier"):
        if definition.get(flag):
            short[flag] = True
    return short


def structure(definition: dict[str, Any]) -> dict[str, Any]:
    elements = {path: element(e) for path, e in definition["elements"].items() if "." in path and e["max"] != "0"}
    return {name: definition[name] for name in ("kind", "abstract", "base")} | {"elements": elements}


def invariant(row: dict[str, Any]) -> dict[str, Any]:
    wrong, right = ERRATA.get((row["path"], row["key"]), ("", ""))
    return row | {"expression": row["expression"].replace(wrong, right) if wrong else row["expression"]}


def write_table(name: str, rows: dict[str, Any]) -> None:
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(row, separators=(',', ':'))}" for key, row in rows.items())
    (TARGET / name).write_text("{\n" + lines + "\n}\n")


def write_list(name: str, rows: list[Any]) -> None:
    lines = ",\n".join(json.dumps(row, separators=(",", ":"), ensure_ascii=False) for row in rows)
    (TARGET / name).write_text("[\n" + lines + "\n]\n")


def main(source: Path) -> None:
    def read(name: str) -> Any:
        return json.loads((source / name).read_text())

    write_table("types.json", {name: structure(t) for name, t in read("types.json").items()})
    write_table("required-codes.json", {url.split("|")[0]: codes for url, codes in read("required-codes.json").items()})
    write_list("invariants.json", [invariant(row) for row in read("invariants.json")])
    write_table("compartments.json", read("compartments.json"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
