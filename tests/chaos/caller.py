"""Case managers who refer, change their minds and refer again, and who ask again whenever an answer did not come.

What they were told is kept: it is the first of the three truths that are compared in the end.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx

from tests.chaos.world import PEOPLE, Json, World

_PAUSE = 0.15
_LAST_CALL = 180.0
"""Seconds after which a request that is never answered is a fault of the server."""

_BUSY = frozenset({408, 425, 429})
_PATCH = "application/json-patch+json"
_BEGUN = frozenset({"in-progress", "completed", "rejected", "cancelled"})
SYSTEM = "urn:oid:2.999.7.2"
PLANS: Mapping[str, int] = {"nothing": 60, "cancel": 15, "revoke": 10, "refer-again": 15}
STRATEGIES: Mapping[str, int] = {"single": 84, "parallel": 7, "sequential": 7, "nobody": 2}
"""What is done after having referred, and how it is referred, by weight. `nobody` has no electronic address."""


@dataclass(slots=True)
class Referral:
    """One order and what the case manager was told of it. `tasks` are the ids of its Tasks, by answer."""

    number: int
    strategy: str
    plan: str
    recipients: Sequence[str]
    tasks: list[str] = field(default_factory=list)
    cancelled: bool = False
    revoked: bool = False

    @property
    def order(self) -> str:
        return f"ServiceRequest/order-{self.number}"


@dataclass(slots=True)
class Told:
    """All that the callers were told. `asked` counts answers by what they were, `wrong` are those that must not be."""

    referrals: list[Referral] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Caller:
    """One of several who work at the same time."""

    def __init__(self, world: World, told: Told, http: httpx.AsyncClient) -> None:
        self._world = world
        self._told = told
        self._http = http

    async def refer(self, number: int) -> None:
        chance = Random(f"{self._world.conditions.seed}/{number}")
        referral = self._planned(number, chance)
        await self._order(referral, chance)
        if not await self._refer(referral, referral.recipients, f"refer-{number}", referral.strategy):
            return
        self._told.referrals.append(referral)
        if referral.plan != "nothing":
            await asyncio.sleep(chance.uniform(0, 1.5))
            await _PLANS[referral.plan](self, referral, chance)

    def _planned(self, number: int, chance: Random) -> Referral:
        (strategy,) = chance.choices(list(STRATEGIES), list(STRATEGIES.values()))
        (plan,) = chance.choices(list(PLANS), list(PLANS.values()))
        sites = self._world.sites
        # The first referrals go to each of them, so that even a short run has everybody at work.
        first = sites[number % len(sites)] if number < 2 * len(sites) else None
        weights = [site.kind.share for site in sites]
        chosen = [first or chance.choices(sites, weights)[0]]
        if strategy in ("parallel", "sequential") and len(sites) > 1:
            chosen += chance.sample([site for site in sites if site is not chosen[0]], 1)
        recipients = [site.organization for site in chosen]
        if strategy == "nobody" and first is None:
            return Referral(number, "single", plan, ["Organization/to-nobody"])
        several = len(recipients) > 1
        return Referral(number, strategy if several else "single", plan, recipients)

    async def _order(self, referral: Referral, chance: Random) -> None:
        order = {
            "resourceType": "ServiceRequest",
            "id": f"order-{referral.number}",
            "identifier": [{"system": SYSTEM, "value": f"order-{referral.number}"}],
            "status": "draft",
            "intent": "order",
            "code": {"coding": [{"system": "urn:oid:2.999.7.3", "code": f"need-{referral.number}"}], "text": "Food"},
            "subject": {"reference": f"Patient/client-{chance.randrange(PEOPLE)}"},
            "requester": {"reference": "Organization/us"},
        }
        await self._ask("PUT", referral.order, order, {200, 201})

    async def _refer(self, referral: Referral, recipients: Sequence[str], key: str, strategy: str) -> bool:
        parameters: list[Json] = [{"name": "recipient", "valueReference": {"reference": one}} for one in recipients]
        parameters.append({"name": "strategy", "valueCode": strategy})
        body = {"resourceType": "Parameters", "parameter": parameters}
        answer = await self._ask("POST", f"{referral.order}/$refer", body, {200, 201, 409}, {"Idempotency-Key": key})
        if answer is None or answer.status_code == 409:
            return False
        self._told.asked["replayed" if answer.headers.get("idempotency-replayed") else "referred"] += 1
        resources = [entry["resource"] for entry in answer.json()["entry"]]
        referral.tasks += [one["id"] for one in resources if one["resourceType"] == "Task"]
        return True

    async def _cancel(self, referral: Referral, chance: Random) -> None:
        """Take back the first Task, if its work has not begun."""
        change = _set(status="cancelled", statusReason={"text": "No longer needed"})
        path = f"Task/{referral.tasks[0]}"
        answer = await self._ask("PATCH", path, change, {200, 409})
        if answer is not None and answer.status_code == 200:
            referral.cancelled = True

    async def _revoke(self, referral: Referral, chance: Random) -> None:
        """The whole order, now or when the work has begun, which is stopped then."""
        for _ in range(chance.choice((0, 30))):
            answer = await self._ask("GET", f"Task/{referral.tasks[0]}", None, {200})
            if answer is None or answer.json()["status"] in _BEGUN:
                break
            await asyncio.sleep(0.2)
        answer = await self._ask("PATCH", referral.order, _set(status="revoked"), {200, 409})
        referral.revoked = answer is not None and answer.status_code == 200

    async def _refer_again(self, referral: Referral, chance: Random) -> None:
        """To somebody else, once nobody is asked any more: after having taken it back, if need be."""
        await self._cancel(referral, chance)
        for id_ in referral.tasks:
            answer = await self._ask("GET", f"Task/{id_}", None, {200})
            if answer is None or answer.json()["status"] not in ("cancelled", "rejected"):
                return
        others = [one.organization for one in self._world.sites if one.organization not in referral.recipients]
        if others:
            await self._refer(referral, [chance.choice(others)], f"again-{referral.number}", "single")

    async def _ask(
        self,
        method: str,
        path: str,
        body: Json | list[Json] | None,
        wanted: set[int],
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response | None:
        """The answer, however often it has to be asked for; None for one that must not be."""
        kind = _PATCH if method == "PATCH" else "application/fhir+json"
        content = None if body is None else json.dumps(body).encode()
        url, deadline = f"{self._world.base}/{path}", asyncio.get_running_loop().time() + _LAST_CALL
        while asyncio.get_running_loop().time() < deadline:
            try:
                answer = await self._http.request(
                    method, url, content=content, headers={"Content-Type": kind, **(headers or {})}
                )
            except httpx.TransportError:
                self._told.asked["not answered"] += 1
            else:
                self._told.asked[f"{answer.status_code}"] += 1
                if answer.status_code in wanted:
                    return answer
                if answer.status_code < 500 and answer.status_code not in _BUSY:
                    break
            await asyncio.sleep(_PAUSE)
        else:
            self._told.wrong.append(f"{method} {path} was never answered")
            return None
        self._told.wrong.append(f"{method} {path} was answered with {answer.status_code}: {answer.text[:500]}")
        return None


_PLANS = {"cancel": Caller._cancel, "revoke": Caller._revoke, "refer-again": Caller._refer_again}


def _set(**elements: Any) -> list[Json]:
    return [{"op": "add", "path": f"/{name}", "value": value} for name, value in elements.items()]


async def pages(http: httpx.AsyncClient, url: str) -> list[Json]:
    """All entries of a search, over all its pages."""
    found: list[Json] = []
    following: str | None = url
    while following:
        answer = await http.get(following)
        assert answer.status_code == 200, f"{following} {answer.status_code} {answer.text[:500]}"
        bundle = answer.json()
        found += bundle.get("entry", ())
        following = next((link["url"] for link in bundle.get("link", ()) if link["relation"] == "next"), None)
    return found
