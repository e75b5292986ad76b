"""Local copies of resources of other servers: one for each URL, however often it comes, and who brought them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from app.fhir.bundles import instant
from app.fhir.json import dumps, loads
from app.fhir.own.codes import URI
from app.fhir.search.query import Query
from app.fhir.types import Json
from app.interactions import commit, criteria
from app.interactions.context import Context
from app.services import stored
from app.services.inbound.foreign import View, identifier_element, is_absolute, kept, seen, subject_name
from app.store.connections import Connection

_PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_AGENTS = frozenset({"Practitioner", "PractitionerRole", "RelatedPerson", "Patient", "Device", "Organization"})
_ESCAPES = str.maketrans({character: f"\\{character}" for character in "\\,|$"})


async def store(
    context: Context, connection: Connection, copies: Mapping[str, Json], view: View, subject: Json | None = None
) -> dict[str, str]:
    """Keep resources, by the URLs under which they are known elsewhere; returns what they are here (`Procedure/1`).

    They may refer to each other. With `subject`, whatever is about somebody is about that patient. What is here
    already is brought up to date, unless it is no copy but a resource of ours that is known by that URL as well; a copy
    that is about a patient of ours stays about that one. Raises Invalid for what is not R4, and what any write raises.
    """
    found = await _found(context, connection, copies)
    known = {url: f"{copies[url]['resourceType']}/{found.get(url) or context.new_id()}" for url in copies}
    view = replace(view, known={**view.known, **known})
    wanted = []
    for url, resource in copies.items():
        earlier = await _copy(context, connection, known[url], url) if url in found else None
        if url not in found or earlier is not None:
            made = _local(resource, url, known[url], view, subject)
            _keep_subject(context, made, earlier or {})
            wanted.append(made)
    await commit.put(context.as_system(connection), connection, wanted)
    return known


async def subjects(context: Context, connection: Connection, copies: Mapping[str, Json]) -> set[str]:
    """The patients of ours (`Patient/1`) whom resources are about that are known here by these URLs already."""
    found = await _found(context, connection, copies)
    here = [
        await stored.read(context, connection, f"{copies[url]['resourceType']}/{id_}") for url, id_ in found.items()
    ]
    about = (_own_subject(context, resource) for resource in here if resource is not None)
    return {subject for subject in about if subject is not None}


def _own_subject(context: Context, resource: Json) -> str | None:
    target = stored.target_of(context, resource.get(subject_name(resource["resourceType"]) or ""))
    return None if target is None else f"{target.type}/{target.id}"


def _keep_subject(context: Context, made: Json, earlier: Json) -> None:
    """Somebody may rely on whom a copy is about: another word of its server moves it into nobody else's record."""
    if earlier and _own_subject(context, earlier) is not None:
        name = subject_name(made["resourceType"]) or ""
        made[name] = earlier[name]


async def _found(context: Context, connection: Connection, copies: Mapping[str, Json]) -> dict[str, str]:
    """The ids of what is here already; until the transaction ends nobody else makes a copy of the others."""
    if not copies:
        return {}
    queries = [known_as(context, resource["resourceType"], url) for url, resource in copies.items()]
    await criteria.lock(connection, queries)
    matches = await criteria.find_each(context.as_system(connection), connection, queries)
    return {url: ids[0] for url, ids in zip(copies, matches, strict=True) if ids}


def known_as(context: Context, type_name: str, url: str) -> Query:
    """The search for what is known by a URL of another server. A type with no list of identifiers tells its source."""
    element = identifier_element(type_name)
    if element is not None and element.is_list:
        return criteria.read_criteria(context, type_name, [("identifier", token(URI, url))])
    return criteria.read_criteria(context, type_name, [("_source", url.translate(_ESCAPES))])


def token(system: str, value: str) -> str:
    """A token as the value of a search."""
    return f"{system.translate(_ESCAPES)}|{value.translate(_ESCAPES)}"


async def is_copy(context: Context, connection: Connection, reference: str, url: str) -> bool:
    """Whether a resource of ours is the copy of what stands at that URL, and not one that is known by it as well."""
    return await _copy(context, connection, reference, url) is not None


async def _copy(context: Context, connection: Connection, reference: str, url: str) -> Json | None:
    here = await stored.read(context, connection, reference)
    return here if here is not None and here.get("meta", {}).get("source") == url else None


def _local(resource: Json, url: str, reference: str, view: View, subject: Json | None) -> Json:
    found: Json = loads(dumps(kept(resource, url))) | {"id": reference.partition("/")[2]}
    seen(found, view)
    name = subject_name(found["resourceType"])
    if subject is not None and name is not None:
        found[name] = subject
    return found


async def attest(
    context: Context,
    connection: Connection,
    targets: Sequence[str],
    *,
    agent: Json,
    source: str | None = None,
    reason: str | None = None,
) -> None:
    """Write down, as Provenance, who brought or decided something and where it is from. `agent` as from `agent_of`."""
    provenance: Json = {
        "resourceType": "Provenance",
        "id": context.new_id(),
        "target": [{"reference": target} for target in targets],
        "recorded": instant(context.now),
        "agent": [agent],
    }
    if reason:
        provenance["reason"] = [{"text": reason}]
    if source:
        provenance["entity"] = [{"role": "source", "what": {"reference": source}}]
    await commit.put(context.as_system(connection), connection, [provenance])


def agent_of(kind: str, who: Json | None, otherwise: str) -> Json:
    """An agent of Provenance: `kind` is a code of HL7's participant types, `otherwise` the words for nobody we know."""
    named = None if who is None or not _may_act(who) else {"reference": who["reference"]}
    return {"type": {"coding": [{"system": _PARTICIPANT, "code": kind}]}, "who": named or {"display": otherwise}}


def _may_act(who: Json) -> bool:
    reference = str(who.get("reference", ""))
    parts = reference.split("/")
    return len(parts) > 1 and parts[-2] in _AGENTS and (len(parts) == 2 or is_absolute(reference))
