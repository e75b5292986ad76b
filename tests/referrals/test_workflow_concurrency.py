"""What happens at the same moment happens one after the other."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.support.factories import identifier, unique
from tests.support.workflow import OWNER, REQUESTER, STRANGER, World, business, group, reasons, world

ROUNDS = 8


@pytest.fixture(scope="module")
async def here(client: httpx.AsyncClient) -> World:
    return await world(client)


async def test_of_two_acceptances_exactly_one_wins(here: World) -> None:
    for number in range(ROUNDS):
        order, common = await here.order(), {"groupIdentifier": group()}
        common["extension"] = [here.extension("referral-strategy", valueCode="parallel")]  # type: ignore[assignment]
        asked = {
            actor: await here.referred("requested", order, owner={"reference": here.actors[actor]}, **common)
            for actor in (OWNER, STRANGER)
        }
        accept = [{"op": "replace", "path": "/status", "value": "accepted"}]
        answers = await asyncio.gather(
            *(
                here.put(task | {"status": "accepted"}, actor) if number % 2 else here.patch(task, accept, actor)
                for actor, task in asked.items()
            )
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409], [a.text for a in answers]
        tasks = [await here.read(task) for task in asked.values()]
        won, lost = sorted(tasks, key=lambda task: str(task["status"]))
        assert (won["status"], lost["status"]) == ("accepted", "cancelled")
        assert business(won) == ["selected"]
        assert reasons(lost) == ["not-selected"]


async def test_conditional_acceptances_are_serialised_as_well(here: World) -> None:
    for _ in range(ROUNDS):
        order, common = await here.order(), {"groupIdentifier": group()}
        common["extension"] = [here.extension("referral-strategy", valueCode="parallel")]  # type: ignore[assignment]
        names = [unique(), unique()]
        for name in names:
            await here.referred("requested", order, identifier=[identifier(name)], **common)
        headers = {"Content-Type": "application/json-patch+json"}
        accept = [{"op": "replace", "path": "/status", "value": "accepted"}]
        answers = await asyncio.gather(
            *(here.client.patch(f"Task?identifier={name}", json=accept, headers=headers) for name in names)
        )
        assert sorted(answer.status_code for answer in answers) == [200, 409], [a.text for a in answers]


async def test_of_a_start_and_a_cancellation_exactly_one_holds(here: World) -> None:
    for _ in range(ROUNDS):
        task = await here.referred("accepted")
        cancel = task | {"status": "cancelled", "statusReason": {"text": "Moved away"}}
        started, cancelled = await asyncio.gather(
            here.put(task | {"status": "in-progress"}, OWNER), here.put(cancel, REQUESTER)
        )
        outcome = (started.status_code, cancelled.status_code, (await here.read(task))["status"])
        assert outcome in ((200, 403, "in-progress"), (409, 200, "cancelled"))


async def test_of_an_acceptance_and_a_cancellation_the_cancellation_holds(here: World) -> None:
    for _ in range(ROUNDS):
        task = await here.referred("requested")
        cancel = task | {"status": "cancelled", "statusReason": {"text": "Moved away"}}
        accepted, cancelled = await asyncio.gather(
            here.put(task | {"status": "accepted"}, OWNER), here.put(cancel, REQUESTER)
        )
        assert cancelled.status_code == 200
        assert accepted.status_code in (200, 409)
        assert (await here.read(task))["status"] == "cancelled"


async def test_of_two_claims_exactly_one_holds(here: World) -> None:
    for _ in range(ROUNDS):
        task = await here.referred("requested", owner=None)
        claims = {
            actor: task | {"status": "accepted", "owner": {"reference": here.actors[actor]}}
            for actor in (OWNER, STRANGER)
        }
        answers = await asyncio.gather(*(here.put(claim, actor) for actor, claim in claims.items()))
        assert sorted(answer.status_code for answer in answers) == [200, 409], [a.text for a in answers]


async def test_an_order_is_not_revoked_past_an_acceptance(here: World) -> None:
    """Whoever comes second sees what the first has done."""
    for _ in range(ROUNDS):
        order = await here.order()
        task = await here.referred("requested", order)
        accepted, revoked = await asyncio.gather(
            here.put(task | {"status": "accepted"}, OWNER), here.put(order | {"status": "revoked"}, REQUESTER)
        )
        assert revoked.status_code == 200, revoked.text
        assert accepted.status_code in (200, 409)
        assert (await here.read(task))["status"] == "cancelled"
