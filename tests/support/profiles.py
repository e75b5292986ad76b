"""Whether a resource has what a StructureDefinition demands, read from its differential.

Checked are min, max, fixed[x], pattern[x], the targets of references, required bindings to value sets that are at hand,
and slices that are told by a pattern, a fixed value or the type of a choice. Everything is read anew from the files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

_NAMES = re.compile(r"([A-Za-z]+(?:\[x\])?)(?::(.+))?")


class Profiles:
    """The definitions of a directory."""

    def __init__(self, directory: Path) -> None:
        self._structures: dict[str, Json] = {}
        self._value_sets: dict[str, Json] = {}
        for path in directory.glob("*.json"):
            found = json.loads(path.read_bytes())
            shelf = {"StructureDefinition": self._structures, "ValueSet": self._value_sets}.get(found["resourceType"])
            if shelf is not None:
                shelf[found["url"]] = found

    def problems(self, resource: Json, url: str) -> list[str]:
        """What the profile demands and the resource has not, by the id of the element."""
        elements = self._structures[url]["differential"]["element"]
        return [text for element in elements for text in self._of(element, elements, resource)]

    def demanded(self, url: str) -> list[Json]:
        """The elements with a minimum, a fixed value or a pattern."""
        elements = self._structures[url]["differential"]["element"]
        return [one for one in elements if one.get("min", 0) > 0 or _given(one) is not None]

    def _of(self, element: Json, elements: list[Json], resource: Json) -> Iterator[str]:
        *above, last = element["id"].split(".")[1:] or [""]
        if not last:
            return
        for parent in self._at(above, element["id"].split(".")[0], elements, resource):
            values = list(self._children(parent, last, element["id"], elements))
            if len(values) < element.get("min", 0):
                yield f"{element['id']}: missing"
            if element.get("max", "*") != "*" and len(values) > int(element["max"]):
                yield f"{element['id']}: too many"
            for value in values:
                yield from (f"{element['id']}: {text}" for text in self._wrong(element, value))

    def _wrong(self, element: Json, value: Any) -> Iterator[str]:
        given = _given(element)
        if given is not None and not _has(value, given):
            yield "not the value that is demanded"
        binding = element.get("binding", {})
        codes = self._codes(binding.get("valueSet", "")) if binding.get("strength") == "required" else None
        if codes is not None and not codes & _codes_of(value):
            yield "not of the value set"
        wanted = {self._type(url) for one in element.get("type", ()) for url in one.get("targetProfile", ())}
        kind = _target(value)
        if wanted and kind and kind not in wanted and "Resource" not in wanted:
            yield f"a reference to {kind}"

    def _at(self, path: list[str], prefix: str, elements: list[Json], value: Json) -> list[Json]:
        """Everything that a path leads to."""
        found = [value]
        for name in path:
            prefix = f"{prefix}.{name}"
            found = [child for one in found for child in self._children(one, name, prefix, elements)]
        return [one for one in found if isinstance(one, dict)]

    def _children(self, parent: Json, name: str, id_: str, elements: list[Json]) -> Iterator[Any]:
        match = _NAMES.fullmatch(name)
        assert match
        element, slice_name = match.groups()
        if element.endswith("[x]"):
            start = element.removesuffix("[x]")
            keys = [slice_name] if slice_name else [key for key in parent if re.fullmatch(start + "[A-Z].*", key)]
        else:
            keys = [element]
        for key in keys:
            value = parent.get(key)
            for one in value if isinstance(value, list) else [] if value is None else [value]:
                if not slice_name or element.endswith("[x]") or self._is_of_slice(one, id_, elements):
                    yield one

    def _is_of_slice(self, value: Any, id_: str, elements: list[Json]) -> bool:
        own = next((one for one in elements if one["id"] == id_), {})
        if (given := _given(own)) is not None:
            return _has(value, given)
        if own.get("binding", {}).get("strength") == "required":
            codes = self._codes(own["binding"]["valueSet"])
            return codes is None or bool(codes & _codes_of(value))
        targets = {self._type(url) for one in own.get("type", ()) for url in one.get("targetProfile", ())}
        if targets and (kind := _target(value)):
            return kind in targets
        inner = [one for one in elements if one["id"].startswith(id_ + ".")]
        patterns = {one["id"].rpartition(".")[2]: _given(one) for one in inner if _given(one) is not None}
        types = [one["sliceName"] for one in inner if "value[x]:" in one["id"] and one.get("sliceName")]
        return all(_has(value.get(name), given) for name, given in patterns.items()) and (
            not types or any(name in value for name in types)
        )

    def _codes(self, url: str) -> set[tuple[str, str]] | None:
        """Of a value set that lists them, or leaves out some of R4's Task status; None when it is not at hand."""
        found = self._value_sets.get(url.partition("|")[0])
        if found is None:
            return None
        compose = found["compose"]
        codes: set[tuple[str, str]] = set()
        for include in compose["include"]:
            if include.get("valueSet") == ["http://hl7.org/fhir/ValueSet/task-status"]:
                codes |= {("", code) for code in _TASK_STATUSES}
            elif "concept" not in include:
                return None
            codes |= {(include.get("system", ""), one["code"]) for one in include.get("concept", ())}
        excluded = {one["code"] for exclude in compose.get("exclude", ()) for one in exclude["concept"]}
        return {(system, code) for system, code in codes if code not in excluded}

    def _type(self, url: str) -> str:
        known = self._structures.get(url.partition("|")[0])
        if known:
            return str(known["type"])
        name = url.partition("|")[0].rpartition("/")[2]
        return _US_CORE.get(name, name)


_US_CORE = {
    "us-core-patient": "Patient",
    "us-core-organization": "Organization",
    "us-core-practitioner": "Practitioner",
    "us-core-relatedperson": "RelatedPerson",
    "us-core-careteam": "CareTeam",
    "us-core-location": "Location",
}
_TASK_STATUSES = (
    *("draft", "requested", "received", "accepted", "rejected", "ready", "cancelled"),
    *("in-progress", "on-hold", "failed", "completed", "entered-in-error"),
)


def _given(element: Json) -> Any:
    """The value of fixed[x] or pattern[x]."""
    return next((value for name, value in element.items() if re.match(r"(fixed|pattern)[A-Z]", name)), None)


def _has(value: Any, pattern: Any) -> bool:
    """Whether a value holds all that a pattern holds (R4 elementdefinition.html#pattern)."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(_has(value.get(name), part) for name, part in pattern.items())
    if isinstance(pattern, list):
        return isinstance(value, list) and all(any(_has(one, part) for one in value) for part in pattern)
    return bool(value == pattern)


def _codes_of(value: Any) -> set[tuple[str, str]]:
    if isinstance(value, str):
        return {("", value)}
    return {(coding.get("system", ""), coding.get("code", "")) for coding in value.get("coding", ())}


def _target(value: Any) -> str:
    """The type that a Reference leads to; blank for everything else."""
    text = value.get("reference") if isinstance(value, dict) else None
    match = re.search(r"([A-Z][A-Za-z]+)/[^/]+\Z", text) if isinstance(text, str) else None
    return match[1] if match else ""
