"""The pages of a search: where one begins, and the links between them. https://hl7.org/fhir/R4/http.html#paging"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from app.errors import Malformed
from app.fhir.search.cursor import KEY_BYTES, Place, fingerprint, read_cursor, write_cursor
from app.fhir.search.query import Query
from app.interactions.context import Context
from app.store.search.page import Match, Page

Pairs = Sequence[tuple[str, str]]


def link(url: str, pairs: Pairs) -> str:
    return f"{url}?{urlencode(pairs, quote_via=quote, safe=':/|,$')}" if pairs else url


@dataclass(frozen=True, slots=True)
class Paging:
    """One page to be: up to `limit` matches from `place` on. `path` is that of its links, below the base URL."""

    path: str
    limit: int
    place: Place | None

    @property
    def backward(self) -> bool:
        return self.place is not None and self.place.backward


async def begin(context: Context, query: Query, path: str) -> Paging:
    """Raises Malformed unless the query's cursor, if any, is one that this server gave out for this search."""
    place = None
    if query.cursor is not None:
        try:
            place = read_cursor(query.cursor, await _key(context), fingerprint(path, query.types, query.used))
        except ValueError:
            raise Malformed("The parameter '_cursor' is not one that this server gave out for this search.") from None
    return Paging(path, context.count(query.count), place)


async def links(context: Context, query: Query, paging: Paging, page: Page) -> list[tuple[str, str]]:
    """Relations and absolute URLs, with exactly the parameters that were used."""
    url = f"{context.server.base_url}/{paging.path}".rstrip("/")
    used = [(name, str(paging.limit) if name == "_count" else text) for name, text in query.used]
    found = [("self", link(url, used))]
    if query.summary == "count":
        return found
    kept = [pair for pair in used if pair[0] != "_cursor"]
    found.append(("first", link(url, kept)))
    if neighbours := list(_neighbours(paging, page)):
        key, search = await _key(context), fingerprint(paging.path, query.types, query.used)
        for relation, place in neighbours:
            found.append((relation, link(url, [*kept, ("_cursor", write_cursor(place, key, search))])))
    return found


def _neighbours(paging: Paging, page: Page) -> Iterator[tuple[str, Place]]:
    """The page whose link led here lies on the other side, unless nothing was left of it: `inclusive` says so."""
    place = paging.place
    came = place is not None and not place.inclusive
    before, after = (page.more, came) if paging.backward else (came, page.more)
    if before:
        yield "previous", _beside(page.matches[:1], place, backward=True)
    if after:
        yield "next", _beside(page.matches[-1:], place, backward=False)


def _beside(edge: Sequence[Match], place: Place | None, *, backward: bool) -> Place:
    """Beyond the match at the edge of a page; from the place of an empty page back to where it was."""
    if edge:
        return Place(edge[0].keys, edge[0].rid, backward)
    if place is None:
        raise ValueError("A page without a place has neighbours only if it has matches.")
    return Place(place.keys, place.rid, backward, inclusive=True)


async def _key(context: Context) -> bytes:
    return await context.server.secrets.get("cursor", KEY_BYTES)
