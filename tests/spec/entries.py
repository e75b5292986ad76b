"""What pages of searches hold, entry by entry."""

from __future__ import annotations

from tests.spec.api import Fhir, Json, next_link

Entries = dict[str, list[str]]


def place(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


async def modes(fhir: Fhir, query: str) -> Entries:
    """`Type/id` of what a page holds, by search mode. Nothing may stand twice, and a fullUrl has no version."""
    page = await fhir.read(query)
    found: Entries = {"match": [], "include": []}
    for item in page.get("entry", []):
        resource = item["resource"]
        place = f"{resource['resourceType']}/{resource['id']}"
        assert item["fullUrl"] == f"{fhir.base}/{place}"
        found[item["search"]["mode"]].append(place)
    everything = found["match"] + found["include"]
    assert len(everything) == len(set(everything))
    return found


async def included(fhir: Fhir, query: str) -> list[str]:
    return (await modes(fhir, query))["include"]


async def pages(fhir: Fhir, url: str) -> list[list[str]]:
    """`Type/id` of what each page holds, in order."""
    found: list[list[str]] = []
    following: str | None = url
    while following:
        page = await fhir.read(following)
        assert page["type"] == "searchset"
        for item in page.get("entry", []):
            assert item["fullUrl"] == f"{fhir.base}/{place(item['resource'])}"
            assert item["search"]["mode"] == "match"
        found.append([place(item["resource"]) for item in page.get("entry", [])])
        following = next_link(page)
    return found


async def everything(fhir: Fhir, url: str) -> list[str]:
    (found,) = await pages(fhir, url)
    return found
