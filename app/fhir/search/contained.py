"""Rows for contained resources, in which chains look (https://hl7.org/fhir/R4/search.html#contained).

"By default, search results only include resources that are not contained in other resources. A chained condition will
be evaluated inside contained resources." So a contained resource to which a parameter leads has rows of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from app.fhir.json import dumps
from app.fhir.references import Target
from app.fhir.search.rows import IndexRows

Json = dict[str, Any]
Link = tuple[str, str]
Fill = Callable[[IndexRows, Json], None]

_MARK = "#"
"""What begins a reference to a contained resource, and its key: no id of a resource has it."""


def fragments(contained: Sequence[Json]) -> dict[str, Target]:
    """What the references `#id` lead to."""
    return {_name(each): Target(each["resourceType"], _name(each)) for each in contained}


def add_contained(rows: IndexRows, contained: Sequence[Json], fill: Fill) -> None:
    """Add the rows of all contained resources to which the rows of their container lead, directly or through others.

    `fill` adds the rows of a resource. References `#id` in all these rows become links to keys.
    """
    resources = {_name(each): each for each in contained}
    found: dict[str, IndexRows] = {}
    left = _names(rows)
    while left:
        name = left.pop()
        if name not in found:
            found[name] = IndexRows(fragments=rows.fragments)
            fill(found[name], resources[name])
            left += _names(found[name])
    links = {name: _link(resources[name], contained if _names(inner) else ()) for name, inner in found.items()}
    for each in (rows, *found.values()):
        _lead(each, links)
    rows.contained = {links[name]: inner for name, inner in found.items()}


def _name(contained: Json) -> str:
    return f"{_MARK}{contained['id']}"


def _names(rows: IndexRows) -> list[str]:
    return [name for _, _, name in rows.references if name[0] == _MARK]


def _link(resource: Json, others: Sequence[Json]) -> Link:
    """The type and the key of a contained resource, which stands for what it says and what `others` say, if any.

    Most containers repeat what others have: the same payer, the same drug. What has the same key shares its rows.
    """
    return resource["resourceType"], _MARK + sha256(dumps([resource, *others])).hexdigest()[:32]


def _lead(rows: IndexRows, links: Mapping[str, Link]) -> None:
    """Put links in the place of names. A composite row is asked for by what it leads to, which no contained one is."""
    rows.references = [(param, *links.get(name, (kind, name))) for param, kind, name in rows.references]
    rows.composites = [row for row in rows.composites if row.target_id not in links]
