"""Pages of a search, and the links between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import parse_qsl, urlsplit

from tests.spec.api import Fhir, Json, next_link


def ids(page: Json) -> list[str]:
    return [item["resource"]["id"] for item in page.get("entry", []) if item["search"]["mode"] == "match"]


async def follow(fhir: Fhir, link: str | None, relation: str) -> AsyncIterator[Json]:
    """The page of a link, and those that follow it."""
    seen = 0
    while link and seen < 50:
        page = await fhir.read(link)
        yield page
        link, seen = next_link(page, relation), seen + 1


def query_of(link: str | None) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(link or "").query))
