"""Recipients without a system of their own open the Task on the sender's API and answer there (SDOHCC "light")."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import httpx

from app.fhir.json import dumps, loads
from app.fhir.own import dialects
from app.fhir.types import Json
from app.receiver import answers, ledger, people
from app.receiver.answers import Verdict, verdict
from app.receiver.options import Options
from app.receiver.store import Store

AGAIN = 1.0
"""Seconds until a visit that led to nothing is repeated."""

_JSON = "application/fhir+json"
_GONE = frozenset({403, 404, 410})
_MOVED_ON = frozenset({409, 412, 422})


class Later(Exception):
    """The sender cannot be reached, or was busy with the same Task: it is to be tried again."""


class Sender:
    """The sender's API, as one of its recipients uses it."""

    def __init__(self, client: httpx.AsyncClient, options: Options) -> None:
        self._client = client
        self._base = options.sender

    async def send(
        self,
        method: str,
        url: str,
        *,
        actor: str = "",
        headers: Mapping[str, str] | None = None,
        body: Json | None = None,
    ) -> httpx.Response:
        """The answer, of whatever status below 500. Raises Later."""
        sent = {"Accept": _JSON, **(headers or {})} | ({"X-CareLoop-Actor": actor} if actor else {})
        content = None if body is None else dumps(body)
        if content is not None:
            sent["Content-Type"] = _JSON
        try:
            answer = await self._client.request(method, url, content=content, headers=sent)
        except httpx.HTTPError:
            raise Later from None
        if answer.status_code >= 500 or answer.status_code in (408, 425, 429):
            raise Later
        return answer

    async def read(self, url: str) -> tuple[Json, str] | None:
        """A resource and its ETag; None when it is not there, or not for us."""
        answer = await self.send("GET", url)
        if answer.status_code in _GONE:
            return None
        if answer.status_code != 200:
            raise Later
        found: Json = loads(answer.content)
        return found, answer.headers.get("etag", "")

    async def write(self, url: str, resource: Json, etag: str, actor: str) -> int:
        answer = await self.send("PUT", url, actor=actor, headers={"If-Match": etag} if etag else {}, body=resource)
        return answer.status_code

    async def create(self, resource: Json, identifier: str, actor: str) -> str:
        """The URL of the resource, which is made once however often this is tried. Raises Later."""
        system, _, value = identifier.partition("|")
        made = resource | {"identifier": [{"system": system, "value": value}]}
        headers = {"If-None-Exist": f"identifier={system}|{value}", "Prefer": "return=representation"}
        url = f"{self._base}/{resource['resourceType']}"
        answer = await self.send("POST", url, actor=actor, headers=headers, body=made)
        if answer.status_code not in (200, 201):
            raise Later
        return f"{resource['resourceType']}/{loads(answer.content)['id']}"

    async def locate(self, place: str) -> str | None:
        """The URL of the Task that a search finds; a URL stays what it is."""
        if "?" not in place:
            return place
        found = await self.search(place)
        return f"{self._base}/Task/{found[0]['id']}" if found else None

    async def search(self, url: str) -> list[Json]:
        """What a search finds, on all its pages."""
        found: list[Json] = []
        while url.startswith(f"{self._base}/"):
            answer = await self.send("GET", url)
            if answer.status_code != 200:
                raise Later
            page = loads(answer.content)
            found += [entry["resource"] for entry in page.get("entry", ()) if "resource" in entry]
            url = next((link["url"] for link in page.get("link", ()) if link["relation"] == "next"), "")
        return found


async def visit(store: Store, sender: Sender, options: Options, place: str, referral: str) -> None:
    """The next step of the Task at `place`, which is its URL or a search that finds it."""
    try:
        url = await sender.locate(place)
        status, title = await _step(sender, options, url, verdict(options, referral)) if url else ("gone", "")
    except Later:
        await store.run(lambda database: people.postponed(database, place, AGAIN))
    else:
        await store.run(lambda database: people.planned(database, place, status, title))


async def _step(sender: Sender, options: Options, url: str, found: Verdict) -> tuple[str, str]:
    """Status and title of the Task afterwards; people have no more to do with one that is gone."""
    seen = await sender.read(url)
    if seen is None:
        return "gone", ""
    task, etag = seen
    actor, title = options.actor or _owner(task), answers.title_of(task)
    if not answers.waits(task):
        return task.get("status", "gone"), title
    if ledger.is_abort(task):
        return await _stop(sender, task, etag, url, actor), title
    for status in dict.fromkeys([_next(task, found, found.moves), _next(task, found, answers.AS_USUAL)]):
        made = await _answer(sender, options, task, status, found, url, actor)
        code = await sender.write(url, made, etag, actor)
        if code < 300:
            if found.duplicate:
                await sender.write(url, made, "", actor)
            return status, title
        if code not in _MOVED_ON:
            raise Later
    raise Later


def _next(task: Json, found: Verdict, moves: Mapping[str, str]) -> str:
    return "rejected" if found.rejects and answers.waits_for_a_word(task) else moves[task["status"]]


async def _answer(
    sender: Sender, options: Options, task: Json, status: str, found: Verdict, url: str, actor: str
) -> Json:
    result = answers.result_of(task, options) if status == "completed" else None
    output = await sender.create(result, f"urn:careloop:receiver|{url}", actor) if result else ""
    return answers.answered(task, status, found, "urn:careloop:receiver", output)


async def _stop(sender: Sender, abort: Json, etag: str, url: str, actor: str) -> str:
    """Stop the Task that the sender wants stopped, then say so."""
    focus = abort.get("focus", {}).get("reference", "")
    place = focus if focus.startswith("http") else f"{url.rpartition('/Task/')[0]}/{focus}"
    seen = await sender.read(place) if people.task_url(place, url.rpartition("/Task/")[0]) else None
    status = "rejected"
    if seen is not None and answers.waits(seen[0]):
        if await sender.write(place, answers.stopped(seen[0]), seen[1], actor) >= 300:
            raise Later
        status = "completed"
    if await sender.write(url, answers.abort_answered(abort, status), etag, actor) >= 300:
        raise Later
    return status


def _owner(task: Json) -> str:
    reference = str(task.get("owner", {}).get("reference", ""))
    return reference if reference.startswith("Organization/") else ""


async def look_for_work(store: Store, sender: Sender, options: Options) -> None:
    """What a `light` recipient does in the morning: are there new Tasks for us?"""
    query = {"owner": options.actor, "status": "requested", "_sort": "_lastUpdated", "_count": "100"}
    try:
        tasks = await sender.search(f"{options.sender}/Task?{urlencode(query)}")
    except Later:
        return

    def note(database: Any) -> None:
        for task in tasks:
            url, identifier = f"{options.sender}/Task/{task['id']}", ledger.identifier_of(task)
            referral = ledger.referral_there(database, options.sender, task) or identifier
            if people.plan(database, url, "requested", referral, answers.title_of(task)):
                kind = ledger.kind_of(task, created=True)
                ledger.write(database, dialects.LIGHT, kind, identifier, referral, url, fresh=True)

    await store.run(note)


async def work(store: Store, client: httpx.AsyncClient, options: Options, *, most: int) -> None:
    """All visits that are due, so many at a time."""
    due = await store.run(lambda database: people.due(database, options, here=False, limit=most))
    sender = Sender(client, options)
    await asyncio.gather(*(visit(store, sender, options, url, referral) for url, referral in due))
