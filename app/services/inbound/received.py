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

NO_MATCH, SEVERAL, ANOTHER = "no-match", "several-matches", "another-patient"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was fetched from the server with that base, by URL. All of it is valid R4.

    `patient_url` names the patient: one among it, or one of this server whom the order itself names.
    """

    base: str
    resources: Mapping[str, Json]
    patient_url: str

    def copied(self) -> dict[str, Json]:
        """What may be copied: all but the patient."""
        return {url: resource for url, resource in self.resources.items() if url != self.patient_url}


async def take(context: Context, connection: Connection, task_id: str, fetched: Fetched) -> None:
    """Store copies and let the Task point to them, within an open transaction.

    A patient who is not exactly one of ours is not copied: the Task waits for a person. So does one that names another
    patient of ours than its order is for; whatever is here of that order stays whose it is.
    """
    task = await stored.read(context, connection, f"Task/{task_id}")
    if task is None:
        return
    await governance.lock_keys(connection, {workflow.referral_key(task)})
    task = await stored.lock(context, connection, "Task", task_id)
    if task is None or not foreign_urls(task, context.server.base_url):
        return
    known: dict[str, str] = {}
    unmatched = await _match_patient(context, connection, task, fetched, known)
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
    context: Context, connection: Connection, task: Json, fetched: Fetched, known: dict[str, str]
) -> str | None:
    """Add the patient of ours to what is known; returns why there is none, None when all is well."""
    found = await _patients(context, connection, fetched)
    if len(found) != 1:
        return SEVERAL if found else NO_MATCH
    if await _spoken_for(context, connection, task, fetched) - set(found):
        return ANOTHER
    known[fetched.patient_url] = found[0]
    return None


async def _patients(context: Context, connection: Connection, fetched: Fetched) -> list[str]:
    """Who of ours the patient is (`Patient/1`)."""
    url = fetched.patient_url
    if url in fetched.resources:
        return await identities.matches(context, connection, fetched.resources[url], url)
    own = await stored.read(context, connection, url)
    return [f"Patient/{own['id']}"] if own is not None and own["resourceType"] == "Patient" else []


async def _spoken_for(context: Context, connection: Connection, task: Json, fetched: Fetched) -> set[str]:
    """The patients of ours whom the Task names, or whom what is here of the referral already is about."""
    order = await stored.read(context, connection, task.get("focus"))
    named = [stored.target_of(context, one) for one in (task.get("for"), (order or {}).get("subject"))]
    about = await copies.subjects(context, connection, fetched.copied())
    return about | {f"{target.type}/{target.id}" for target in named if target is not None}


async def _without_known_parties(
    context: Context, connection: Connection, fetched: Fetched, known: dict[str, str]
) -> dict[str, Json]:
    """What is to be copied: all but the patient, and those parties that are ours by an exact identifier."""
    wanted = {}
    for url, resource in fetched.copied().items():
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
    if unmatched is not None:
        url = fetched.patient_url
        patient = fetched.resources.get(url)
        version = "" if patient is None else version_of(patient)
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
