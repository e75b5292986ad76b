"""A handful of resources that one file of tests searches, kept apart from all others by a tag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from tests.spec.api import Fhir, Json, success, unique


@dataclass(frozen=True)
class World:
    """Searches find these resources only; results are told by label."""

    fhir: Fhir
    tag: str
    labels: Mapping[str, str]

    @classmethod
    async def create(cls, fhir: Fhir, resources: Mapping[str, Json]) -> World:
        """Create the resources one after the other, in this order."""
        tag = unique("world")
        labels = {}
        for label, resource in resources.items():
            meta = resource.get("meta", {})
            tagged = resource | {"meta": meta | {"tag": [*meta.get("tag", []), {"system": "urn:world", "code": tag}]}}
            labels[(await fhir.created(tagged))["id"]] = label
        return cls(fhir, tag, labels)

    def id_of(self, label: str) -> str:
        return next(id_ for id_, known in self.labels.items() if known == label)

    async def page(self, kind: str, query: str, **headers: str) -> Json:
        return success(await self.fhir.get(self.url(kind, query), **headers), 200)

    async def found(self, kind: str, query: str) -> set[str]:
        """The labels of what was found; the query is written plainly and percent-encoded here."""
        return set(await self.listed(kind, query))

    async def listed(self, kind: str, query: str) -> list[str]:
        entries = (await self.page(kind, query)).get("entry", [])
        return [self.labels[item["resource"]["id"]] for item in entries if item["search"]["mode"] == "match"]

    def url(self, kind: str, query: str) -> str:
        return f"{kind}?_tag=urn:world|{self.tag}&{quote(query, safe='&=:,')}".rstrip("&")
