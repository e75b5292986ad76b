"""A FHIR server's search in memory: every resource is asked about every condition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.search.oracle.evaluate import Json, parameters, values
from tests.search.oracle.rules import IMPLIED, RULES, literal, split

Query = list[tuple[str, str]]


@dataclass
class Memory:
    """The current resources by `Type/id`."""

    base: str
    resources: dict[str, Json] = field(default_factory=dict)

    def of(self, kind: str) -> Iterator[Json]:
        return (resource for resource in self.resources.values() if resource["resourceType"] == kind)

    def search(self, kind: str, query: Query) -> set[str]:
        """The ids of the resources that fulfil all conditions."""
        return {r["id"] for r in self.of(kind) if all(self._holds(r, name, text) for name, text in query)}

    def refers_to(self, resource: Json, code: str) -> Iterable[Json]:
        """The living resources to which the references of a parameter lead."""
        found = values(parameters(resource["resourceType"])[code], resource)
        keys = {literal(value, self.base) for value in found}
        return [self.resources[key] for key in keys if key in self.resources]

    def _holds(self, resource: Json, name: str, text: str) -> bool:
        if name.startswith("_has:"):
            _, kind, code, rest = name.split(":", 3)
            return any(self._holds(r, rest, text) for r in self.of(kind) if resource in self.refers_to(r, code))
        head, chained, rest = name.partition(".")
        code, _, modifier = head.partition(":")
        if chained:
            reached = (r for r in self.refers_to(resource, code) if modifier in ("", r["resourceType"]))
            return any(self._holds(r, rest, text) for r in reached if _knows(r, rest))
        return self._fits(resource, code, modifier, text)

    def _fits(self, resource: Json, code: str, modifier: str, text: str) -> bool:
        kind = resource["resourceType"]
        if code == "_id":
            return resource["id"] in text.split(",")
        parameter = parameters(kind)[code]
        found = values(parameter, resource)
        if modifier == "missing":
            return (not found) == (text == "true")
        implied, rule = IMPLIED.get((kind, code), ""), RULES[parameter.kind]
        any_fits = any(rule(value, part, modifier, implied, self.base) for value in found for part in split(text, ","))
        return not any_fits if modifier == "not" else any_fits


def _knows(resource: Json, name: str) -> bool:
    """A chain goes on only to types that have the next parameter."""
    code = name.partition(".")[0].partition(":")[0]
    return code in parameters(resource["resourceType"]) or code in ("_id", "_has")
