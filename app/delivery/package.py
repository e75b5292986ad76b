"""Putting together what a delivery may carry: the Task, its order, its endpoint, and what these refer to here.

Everything is read through the process's loaders, so that the packages of one claim cost a few statements in all.
Bodies are parsed when a dialect looks at them: most dialects need few.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from app.delivery.dialects.base import Package
from app.fhir.json import loads
from app.fhir.own import codes
from app.fhir.references import local
from app.fhir.referrals import workflow
from app.fhir.types import Json
from app.interactions.context import Context
from app.store.referrals.outbox import Claimed, Kind
from app.store.resources import Stored

_BEHIND: Mapping[str, tuple[str, ...]] = {
    "PractitionerRole": ("practitioner", "organization"),
    "HealthcareService": ("providedBy",),
    "Coverage": ("payor", "subscriber"),
    "Consent": ("organization",),
}
"""Elements that lead one step further: who stands behind what the Task and its order refer to."""


class Incomplete(Exception):
    """There is nothing that could be delivered: `code` says what is missing."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Resources(Mapping[str, Json]):
    """Stored resources by `Type/id`, parsed when they are first asked for."""

    def __init__(self, stored: Iterable[Stored]) -> None:
        self._stored = {f"{one.type}/{one.id}": one for one in stored}
        self._parsed: dict[str, Json] = {}

    def __getitem__(self, key: str) -> Json:
        if key not in self._parsed:
            self._parsed[key] = loads(self._stored[key].json())
        return self._parsed[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)

    def add(self, stored: Iterable[Stored]) -> None:
        self._stored.update((f"{one.type}/{one.id}", one) for one in stored)


async def endpoint_of(context: Context, claimed: Claimed) -> Json:
    """The Endpoint of a delivery. Raises Incomplete."""
    key = f"Endpoint/{claimed.endpoint_id}"
    found = Resources(await _read(context, [key] if claimed.endpoint_id else []))
    if key not in found:
        raise Incomplete("no-endpoint")
    return found[key]


async def load(context: Context, claimed: Claimed) -> Package:
    """The package of a delivery, but for what the receiver calls the Task. Raises Incomplete.

    For an abort `task` is the Task that asks for it, `placer` names the Task that it is about, which is among
    `resources`, and `request` is the order of that.
    """
    task_key, endpoint_key = f"Task/{claimed.task_id}", f"Endpoint/{claimed.endpoint_id}"
    found = Resources(await _read(context, [task_key, endpoint_key, claimed.referral]))
    if task_key not in found:
        raise Incomplete("no-task")
    if endpoint_key not in found:
        raise Incomplete("no-endpoint")
    task = found[task_key]
    subject = await _subject(context, claimed, task, found)
    request = await _focus(context, subject, found)
    if request is None:
        raise Incomplete("no-order")
    resources = await _referred(context, [task, subject, request])
    return Package(
        kind=claimed.kind.value,
        message_id=str(claimed.message_id),
        task=task,
        request=request,
        endpoint=found[endpoint_key],
        resources=resources,
        placer=_placer(context, claimed, subject),
        base_url=context.server.base_url,
        now=context.now,
    )


def subject_id(package: Package, claimed: Claimed) -> str:
    """The id of the Task that a message is about."""
    target = local(package.task.get("focus", {}).get("reference", ""), package.base_url)
    return target.id if claimed.kind is Kind.ABORT and target is not None else claimed.task_id


async def _subject(context: Context, claimed: Claimed, task: Json, found: Resources) -> Json:
    """The Task that the message is about: for an abort that which is to end."""
    if claimed.kind is not Kind.ABORT:
        return task
    subject = await _focus(context, task, found)
    if subject is None:
        raise Incomplete("no-task")
    return subject


async def _focus(context: Context, task: Json, found: Resources) -> Json | None:
    target = local(task.get("focus", {}).get("reference", ""), context.server.base_url)
    if target is None:
        return None
    key = f"{target.type}/{target.id}"
    if key not in found:
        found.add(await _read(context, [key]))
    return found.get(key)


def _placer(context: Context, claimed: Claimed, task: Json) -> tuple[str, str]:
    """A Task that was not made by `$refer` may have no identifier: then its first message gives it one."""
    given = workflow.placer_identifier(task)
    return given or (codes.task_identifier(context.server.base_url), f"urn:uuid:{claimed.message_id}")


async def _referred(context: Context, resources: Iterable[Json]) -> Resources:
    base_url = context.server.base_url
    first = Resources(await _read(context, _references(list(resources), base_url)))
    behind = [
        first[key].get(name) for key in first for name in _BEHIND.get(key.partition("/")[0], ()) if name in first[key]
    ]
    wanted = [key for key in _references(behind, base_url) if key not in first]
    if wanted:
        first.add(await _read(context, wanted))
    return first


def _references(value: Any, base_url: str) -> list[str]:
    """`Type/id` of all resources of this server that something refers to, each once."""
    return list(dict.fromkeys(_walk(value, base_url)))


def _walk(value: Any, base_url: str) -> Iterator[str]:
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str) and (target := local(reference, base_url)) is not None:
            yield f"{target.type}/{target.id}"
        for part in value.values():
            if isinstance(part, dict | list):
                yield from _walk(part, base_url)
    elif isinstance(value, list):
        for part in value:
            yield from _walk(part, base_url)


async def _read(context: Context, keys: Iterable[str]) -> list[Stored]:
    """Those of the resources that are here and not deleted."""
    loaders, visible = context.server.loaders, context.visible
    targets = [target for key in keys if (target := local(key, context.server.base_url)) is not None]
    found = await asyncio.gather(*(loaders.read(target.type, target.id, visible) for target in targets))
    return [stored for stored in found if stored is not None and not stored.deleted]
