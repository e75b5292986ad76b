"""The definitions that a question about concepts may use, and what it still needs of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from app.fhir.terminology.code_systems import CodeSystem
from app.fhir.terminology.versions import chosen
from app.fhir.types import Json


@dataclass(frozen=True, slots=True)
class Wanted:
    """A ValueSet or CodeSystem by its canonical URL, and its version where that matters; or with `id` a stored one."""

    type: str
    url: str = ""
    version: str = ""
    id: str = ""

    @property
    def canonical(self) -> str:
        return f"{self.url}|{self.version}" if self.version else self.url


def value_set(canonical: str) -> Wanted:
    """The value set that `url` or `url|version` names."""
    url, _, version = canonical.partition("|")
    return Wanted("ValueSet", url, version)


def code_system(url: str, version: str = "") -> Wanted:
    return Wanted("CodeSystem", url, version)


def needed(definition: Json) -> Iterator[Wanted]:
    """The definitions that the content of a ValueSet refers to. Listed codes need none, unless inactive ones count."""
    compose = definition.get("compose", {})
    for part in (*compose.get("include", ()), *compose.get("exclude", ())):
        for canonical in part.get("valueSet", ()):
            yield value_set(canonical)
        if "system" in part and ("concept" not in part or compose.get("inactive") is False):
            yield code_system(part["system"], part.get("version", ""))


@dataclass(slots=True)
class Library:
    """Definitions by type and URL, all versions of each, and those that were asked for by id."""

    _by_url: dict[tuple[str, str], list[Json]] = field(default_factory=dict)
    _by_id: dict[tuple[str, str], Json] = field(default_factory=dict)
    _systems: dict[int, CodeSystem] = field(default_factory=dict)

    def add(self, definitions: Iterable[Json]) -> None:
        """Take up definitions, each once: the same one may be found by its URL and by its id."""
        for one in definitions:
            key = (one["resourceType"], one.get("id", ""))
            if key not in self._by_id:
                self._by_id[key] = one
                self._by_url.setdefault((one["resourceType"], one.get("url", "")), []).append(one)

    def find(self, wanted: Wanted) -> Json | None:
        """The definition, in the version that counts. None when there is none."""
        if wanted.id:
            return self._by_id.get((wanted.type, wanted.id))
        return chosen(self._by_url.get((wanted.type, wanted.url), ()), wanted.version)

    def system(self, url: str, version: str = "") -> CodeSystem | None:
        """The code system, whether its content is complete or not."""
        found = self.find(code_system(url, version))
        if found is None:
            return None
        if id(found) not in self._systems:
            self._systems[id(found)] = CodeSystem(found)
        return self._systems[id(found)]
