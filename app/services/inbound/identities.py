"""Who somebody of another server is here: known by an exact identifier, or not at all. Nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterator

from app.fhir.types import Json
from app.interactions import criteria
from app.interactions.context import Context
from app.services import stored
from app.services.inbound.copies import token
from app.services.inbound.foreign import url_identifier
from app.store.connections import Connection

PARTIES = frozenset({"Organization", "Practitioner", "PractitionerRole", "HealthcareService"})
"""Types of those who refer and who are asked; here they are matched as well, and copied where nobody matches."""

_MOST = 50
_REPLACED = "replaced-by"


async def matches(context: Context, connection: Connection, resource: Json, url: str) -> list[str]:
    """The living resources of ours (`Patient/1`) that share an identifier, system and value, with one of elsewhere.

    The URL under which it is known there counts as an identifier. Exactly one is a match; of several none is.
    """
    kind = resource["resourceType"]
    keys = set(_keys(resource)) | {(url_identifier(url)["system"], url)}
    queries = [criteria.read_criteria(context, kind, [("identifier", token(*key))]) for key in sorted(keys)[:_MOST]]
    found = await criteria.find_each(context.as_system(connection), connection, queries)
    references = sorted({f"{kind}/{id_}" for ids in found for id_ in ids})
    known = [await stored.read(context, connection, reference) for reference in references]
    return [f"{kind}/{one['id']}" for one in known if one is not None and _is_alive(one) and keys & set(_keys(one))]


def _keys(resource: Json) -> Iterator[tuple[str, str]]:
    """System and value of the identifiers that are in use."""
    for identifier in resource.get("identifier", ()):
        if identifier.get("system") and identifier.get("value") and identifier.get("use") != "old":
            yield identifier["system"], identifier["value"]


def _is_alive(resource: Json) -> bool:
    replaced = any(link.get("type") == _REPLACED for link in resource.get("link", ()))
    return resource.get("active") is not False and not replaced
