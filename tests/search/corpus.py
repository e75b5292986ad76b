"""Resources that were put on a server together, and the searches that find these alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tests.search.shapes import Links
from tests.spec.api import Fhir, Json, next_link, success, unique
from tests.support.factories import bundle, entry

TAG_SYSTEM = "urn:corpus"
MOST = 1000


def key(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def written(query: str) -> str:
    """A query percent-encoded, but for what separates its parts."""
    return quote(query, safe="&=:,|$/*")


@dataclass(frozen=True)
class Page:
    """What a search answers, all pages together; `modes` has an entry for each of `resources`."""

    resources: tuple[Json, ...]
    modes: tuple[str, ...]
    sizes: tuple[int, ...]

    def keys(self, mode: str = "match") -> list[str]:
        return [key(r) for r, m in zip(self.resources, self.modes, strict=True) if m == mode]


async def pages(fhir: Fhir, url: str) -> Page:
    """Follow the next links to the end."""
    found: list[Json] = []
    sizes: list[int] = []
    link: str | None = url
    while link:
        answer = await fhir.read(link)
        entries = answer.get("entry", [])
        found += entries
        sizes.append(sum(item["search"]["mode"] == "match" for item in entries))
        link = next_link(answer)
    modes = tuple(item["search"]["mode"] for item in found)
    return Page(tuple(item["resource"] for item in found), modes, tuple(sizes))


@dataclass(frozen=True)
class Corpus:
    """`bodies` are the resources as the server answers them, by `Type/id`, in the order of their creation."""

    fhir: Fhir
    tag: str
    bodies: Mapping[str, Json]

    @classmethod
    async def create(cls, fhir: Fhir, make: Callable[[Links], Iterable[Json]]) -> Corpus:
        tag = unique("c")
        made = [tagged(resource, tag) for resource in make(Links(fhir.base, tag))]
        entries = [entry("PUT", key(resource), resource) for resource in made]
        # One batch after the other: what refers to something comes later than it.
        for start in range(0, len(entries), MOST):
            answer = success(await fhir.post("", bundle("batch", entries[start : start + MOST])), 200)
            refused = [item["response"] for item in answer["entry"] if item["response"]["status"][:3] != "201"]
            assert not refused, refused[0]
        kinds = dict.fromkeys(resource["resourceType"] for resource in made)
        found = [await pages(fhir, f"{kind}?_tag={TAG_SYSTEM}|{tag}&_count={MOST}") for kind in kinds]
        bodies = {key(body): body for page in found for body in page.resources}
        assert list(bodies) == [key(resource) for resource in made]
        return cls(fhir, tag, bodies)

    def of(self, kind: str) -> dict[str, Json]:
        """The resources of a type, by `Type/id`."""
        return {name: body for name, body in self.bodies.items() if body["resourceType"] == kind}

    def all(self, kind: str) -> set[str]:
        return set(self.of(kind))

    def url(self, kind: str, query: str = "") -> str:
        parts = [f"_tag={TAG_SYSTEM}|{self.tag}", *([written(query)] if query else [])]
        return f"{kind}?{'&'.join(parts)}"

    async def found(self, kind: str, query: str = "") -> set[str]:
        """All matches, as `Type/id`; the query is written plainly."""
        listed = await self.listed(kind, query)
        assert len(set(listed)) == len(listed)
        return set(listed)

    async def listed(self, kind: str, query: str = "", count: int = MOST) -> list[str]:
        return (await self.pages(kind, query, count)).keys()

    async def pages(self, kind: str, query: str = "", count: int = MOST) -> Page:
        return await pages(self.fhir, self.url(kind, f"{query}&_count={count}".strip("&")))

    async def count(self, kind: str, query: str = "") -> int:
        answer = await self.fhir.read(self.url(kind, f"{query}&_summary=count".strip("&")))
        return int(answer["total"])


def tagged(resource: Json, tag: str) -> Json:
    meta = resource.get("meta", {})
    tags = [*meta.get("tag", []), {"system": TAG_SYSTEM, "code": tag}]
    return resource | {"meta": meta | {"tag": tags}}


def values(resource: Any, *path: str) -> list[Any]:
    """All that stands at a path of property names, lists flattened."""
    found = [resource]
    for name in path:
        found = [item for value in found if isinstance(value, dict) and name in value for item in many(value[name])]
    return found


def many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
