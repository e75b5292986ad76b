"""A referral from elsewhere whose order, patient and parties have been fetched becomes one of this server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.fhir.own import codes
from app.fhir.own.codes import BusinessStatus
from app.fhir.referrals import workflow
from app.fhir.types import Json
from app.interactions import commit, governance
from app.interactions.context import Context
from app.services import stored
from app.services.inbound import copies, identities
from app.services.inbound.answers import version_of
from app.services.inbound.foreign import View, relink
from app.services.inbound.sources import foreign_urls
from app.store.connections import Connection
from app.store.referrals import conflicts
from app.store.referrals.conflicts import Conflict, Kind

NO_MATCH, SEVERAL = "no-match", "several-matches"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was fetched from the server with that base, by URL. All of it is valid R4.

    `patient_url` names the patient among it, None when the Task names a patient of ours; `known` are URLs that have a
    counterpart here already.
    """

    base: str
    resources: Mapping[str, Json]
    patient_url: str | None
    known: Mapping[str, str]


async def take(context: Context, connection: Connection, task_id: str, fetched: Fetched) -> None:
    """Store copies and let the Task point to them, within an open transaction.

    A patient who is not exactly one of ours is not copied: the Task waits for a person.
    """
    task = await stored.read(context, connection, f"Task/{task_id}")
    if task is None:
        return
    await governance.lock_keys(connection, {workflow.referral_key(task)})
    task = await stored.lock(context, connection, "Task", task_id)
    if task is None or not foreign_urls(task, context.server.base_url):
        return
    known = dict(fetched.known)
    unmatched = await _match_patient(context, connection, fetched, known)
    wanted = await _without_known_parties(context, connection, fetched, known)
    view = View(fetched.base, context.server.base_url, known)
    made = await copies.store(context, connection, wanted, view)
    if fetched.patient_url in known:
        task.setdefault("for", {"reference": fetched.patient_url})
    relink(task, known | made)
    earlier = await relinked(context, connection, task, known, fetched.base)
    await _keep_or_settle(context, connection, task, fetched, unmatched)
    await commit.put(context.as_system(connection), connection, [*earlier, task])
    source = next((url for url in fetched.resources if url != fetched.patient_url), fetched.base)
    agent = copies.agent_of("transmitter", task.get("requester"), "The sender of the referral")
    await copies.attest(context, connection, [f"Task/{task_id}", *sorted(made.values())], agent=agent, source=source)


async def _match_patient(
    context: Context, connection: Connection, fetched: Fetched, known: dict[str, str]
) -> str | None:
    """Add the patient of ours to what is known; returns why there is none, None when all is well."""
    url = fetched.patient_url
    if url is None:
        return None
    found = await identities.matches(context, connection, fetched.resources[url], url)
    if len(found) == 1:
        known[url] = found[0]
        return None
    return SEVERAL if found else NO_MATCH


async def _without_known_parties(
    context: Context, connection: Connection, fetched: Fetched, known: dict[str, str]
) -> dict[str, Json]:
    """What is to be copied: all but the patient, and those parties that are ours by an exact identifier."""
    wanted = {}
    for url, resource in fetched.resources.items():
        if url == fetched.patient_url:
            continue
        if resource["resourceType"] in identities.PARTIES:
            found = await identities.matches(context, connection, resource, url)
            if len(found) == 1 and not await copies.is_copy(context, connection, found[0], url):
                known[url] = found[0]
                continue
        wanted[url] = resource
    return wanted


async def _keep_or_settle(
    context: Context, connection: Connection, task: Json, fetched: Fetched, unmatched: str | None
) -> None:
    """Let the Task say that it waits for somebody who knows the patient, or that it does not any longer."""
    base_url = context.server.base_url
    settled = {Kind.UNKNOWN_SOURCE}
    url = fetched.patient_url
    if unmatched is not None and url is not None:
        patient = fetched.resources[url]
        version = version_of(patient)
        conflict = Conflict(Kind.UNMATCHED_PATIENT, unmatched, task["id"], "", url, version, patient)
        await conflicts.keep(connection, conflict, context.now)
        task["businessStatus"] = codes.concept(base_url, BusinessStatus.AWAITING_INFORMATION)
    else:
        settled.add(Kind.UNMATCHED_PATIENT)
        stop_waiting(task, base_url)
    await conflicts.resolve_all(connection, task["id"], settled, context.now)


def stop_waiting(task: Json, base_url: str) -> None:
    """The Task waits for information no longer."""
    own = codes.codes_of(task.get("businessStatus"), codes.system(base_url, BusinessStatus))
    if BusinessStatus.AWAITING_INFORMATION in own:
        del task["businessStatus"]


async def relinked(
    context: Context, connection: Connection, task: Json, known: Mapping[str, str], base: str
) -> list[Json]:
    """The order of a Task and what else was fetched for it before, from below `base`, with what is known by now.

    Only those that change; the caller stores them.
    """
    order = await stored.read(context, connection, task.get("focus"))
    named = [*_references(task), *_references(order or {})]
    targets = {target for text in named if (target := stored.target_of(context, text)) is not None}
    found = await stored.read_all(context, connection, targets)
    fetched = [one for one in found.values() if one.get("meta", {}).get("source", "").startswith(f"{base}/")]
    return [one for one in fetched if one["resourceType"] != "Task" and relink(one, known)]


def _references(value: object) -> Iterator[str]:
    """The texts of all references in a resource."""
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for child in value.values():
            yield from _references(child)
    elif isinstance(value, list):
        for child in value:
            yield from _references(child)
