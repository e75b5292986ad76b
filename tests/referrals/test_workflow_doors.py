"""Every door to a Task obeys the same rules: PUT, PATCH of both kinds, conditional ones, batch and transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx
import pytest

from tests.support.factories import Json, bundle, entry, identifier, unique, urn
from tests.support.workflow import NOBODY, OUTPUT, OWNER, REASON, REQUESTER, STRANGER, World, codes, problem, world

Door = Callable[[World, Json, Json, str], Awaitable[httpx.Response]]


@pytest.fixture(scope="module")
async def here(client: httpx.AsyncClient) -> World:
    return await world(client)


async def put(here: World, task: Json, elements: Json, actor: str) -> httpx.Response:
    return await here.put(task | elements, actor)


async def conditional_put(here: World, task: Json, elements: Json, actor: str) -> httpx.Response:
    body = {name: value for name, value in (task | elements).items() if name != "id"}
    return await here.client.put(f"Task?{named(task)}", json=body, headers=here.acting(actor))


def named(task: Json) -> str:
    return f"identifier={task['identifier'][0]['value']}"


def operations(elements: Json) -> list[Json]:
    return [{"op": "add", "path": f"/{name}", "value": value} for name, value in elements.items()]


async def json_patch(here: World, task: Json, elements: Json, actor: str) -> httpx.Response:
    return await here.patch(task, operations(elements), actor)


async def conditional_patch(here: World, task: Json, elements: Json, actor: str) -> httpx.Response:
    headers = here.acting(actor) | {"Content-Type": "application/json-patch+json"}
    return await here.client.patch(f"Task?{named(task)}", json=operations(elements), headers=headers)


def fhirpath(elements: Json) -> Json:
    kinds = {"status": ("replace", "valueCode"), "statusReason": ("add", "valueCodeableConcept")}
    listed = []
    for name, value in elements.items():
        kind, value_name = kinds[name]
        where = {"path": f"Task.{name}"} if kind == "replace" else {"path": "Task", "name": name}
        parts = [{"name": "type", "valueCode": kind}, {"name": value_name, value_name: value}]
        parts[1]["name"] = "value"
        parts += [{"name": part, "valueString": text} for part, text in where.items()]
        listed.append({"name": "operation", "part": parts})
    return {"resourceType": "Parameters", "parameter": listed}


async def fhirpath_patch(here: World, task: Json, elements: Json, actor: str) -> httpx.Response:
    headers = here.acting(actor) | {"Content-Type": "application/fhir+json"}
    return await here.client.patch(f"Task/{task['id']}", json=fhirpath(elements), headers=headers)


async def transaction_put(here: World, task: Json, elements: Json, actor: str) -> httpx.Response:
    return await here.post(bundle("transaction", [entry("PUT", f"Task/{task['id']}", task | elements)]), actor)


async def transaction_conditional(here: World, task: Json, elements: Json, actor: str) -> httpx.Response:
    body = {name: value for name, value in (task | elements).items() if name != "id"}
    return await here.post(bundle("transaction", [entry("PUT", f"Task?{named(task)}", body)]), actor)


async def transaction_patch(here: World, task: Json, elements: Json, actor: str) -> httpx.Response:
    found = bundle("transaction", [entry("PATCH", f"Task/{task['id']}", fhirpath(elements))])
    return await here.post(found, actor)


async def batch(here: World, task: Json, elements: Json, actor: str) -> httpx.Response:
    """The answer of the entry, as if it had been asked alone."""
    answer = await here.post(bundle("batch", [entry("PUT", f"Task/{task['id']}", task | elements)]), actor)
    assert answer.status_code == 200
    response = answer.json()["entry"][0]["response"]
    return httpx.Response(int(response["status"][:3]), json=response.get("outcome", {}))


DOORS = [
    put,
    conditional_put,
    json_patch,
    conditional_patch,
    fhirpath_patch,
    transaction_put,
    transaction_conditional,
    transaction_patch,
    batch,
]


async def referred(here: World, status: str = "requested") -> Json:
    return await here.referred(status, identifier=[identifier(unique())])


@pytest.mark.parametrize("door", DOORS)
async def test_every_door_obeys_the_rules(here: World, door: Door) -> None:
    task = await referred(here)
    rejected = {"status": "rejected", "statusReason": REASON}
    problem(await door(here, task, {"status": "completed"}, OWNER), 409)
    for actor in (REQUESTER, STRANGER):
        problem(await door(here, task, rejected, actor), 403)
    assert codes(problem(await door(here, task, {"status": "rejected"}, OWNER), 422)) == ["reason-missing"]
    assert (await here.read(task))["meta"]["versionId"] == "1"
    answer = await door(here, task, rejected, OWNER)
    assert answer.status_code == 200, answer.text
    assert (await here.read(task))["status"] == "rejected"


@pytest.mark.parametrize("door", [put, json_patch, transaction_put])
async def test_an_immutable_element_is_so_at_every_door(here: World, door: Door) -> None:
    task = await referred(here)
    issues = problem(await door(here, task, {"intent": "plan"}, OWNER), 422)
    assert codes(issues) == ["immutable-element"]


async def test_a_refusal_in_a_transaction_names_the_entry_and_nothing_is_stored(here: World) -> None:
    first, second = await referred(here), await referred(here)
    entries = [
        entry("PUT", f"Task/{first['id']}", first | {"status": "accepted"}),
        entry("PUT", f"Task/{second['id']}", second | {"status": "completed", "output": [OUTPUT]}),
    ]
    issues = problem(await here.post(bundle("transaction", entries), OWNER), 409)
    assert issues[0]["expression"] == ["Bundle.entry[1].resource.status"]
    assert (await here.read(first))["status"] == "requested"


async def test_one_transaction_closes_the_last_task_and_the_order(here: World) -> None:
    order = await here.order()
    task = await here.referred("in-progress", order)
    done = task | {"status": "completed", "output": [OUTPUT]}
    over = order | {"status": "completed"}
    for entries in ([(order, over), (task, done)],):
        made = [entry("PUT", f"{old['resourceType']}/{old['id']}", new) for old, new in entries]
        answer = await here.post(bundle("transaction", made))
        assert answer.status_code == 200, answer.text
    assert (await here.read(order))["status"] == "completed"


async def test_an_order_and_its_task_may_come_in_one_transaction(here: World) -> None:
    full_url = urn()
    order = {"resourceType": "ServiceRequest", "status": "active", "intent": "order"}
    order |= {"subject": {"reference": here.patient}}
    task = here.task(full_url, "in-progress")
    answer = await here.post(
        bundle("transaction", [entry("POST", "ServiceRequest", order, full_url), entry("POST", "Task", task)])
    )
    assert answer.status_code == 200, answer.text
    stored = await here.read(
        answer.json()["entry"][1]["response"]["location"].split("/fhir/")[-1].split("/_history")[0]
    )
    problem(await here.move(stored, "requested", OWNER), 409)


async def test_deleting_obeys_the_rules_at_every_door(here: World) -> None:
    task = await referred(here)
    headers = here.acting(OWNER)
    problem(await here.client.delete(f"Task?{named(task)}", headers=headers), 403)
    problem(await here.post(bundle("transaction", [entry("DELETE", f"Task/{task['id']}")]), OWNER), 403)
    assert (await here.client.delete(f"Task?{named(task)}")).status_code == 204


async def test_the_answer_tells_the_version_that_there_is(here: World) -> None:
    """An acceptance among several is noted as selected, in the same transaction."""
    extension = [here.extension("referral-strategy", valueCode="parallel")]
    task = await here.referred("requested", extension=extension)
    headers = here.acting(OWNER) | {"Prefer": "return=representation"}
    answer = await here.client.put(f"Task/{task['id']}", json=task | {"status": "accepted"}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.json() == await here.read(task)
    assert answer.headers["etag"] == f'W/"{answer.json()["meta"]["versionId"]}"'
    started = answer.json() | {"status": "in-progress"}
    assert (await here.put(started, OWNER, If_Match=answer.headers["etag"])).status_code == 200


@pytest.mark.parametrize("actor", ["Practitioner/1", "Organization/", "Organization/1/2", "https://x/Organization/1"])
async def test_an_actor_is_an_organization(here: World, actor: str) -> None:
    task = await referred(here)
    answer = await here.client.put(f"Task/{task['id']}", json=task, headers={"X-CareLoop-Actor": actor})
    problem(answer, 400)


# Who is on which side


async def test_a_side_may_be_a_service_or_a_role(here: World) -> None:
    mine, theirs = ({"reference": here.actors[actor]} for actor in (OWNER, REQUESTER))
    service = await here.create({"resourceType": "HealthcareService", "providedBy": mine})
    role = await here.create({"resourceType": "PractitionerRole", "organization": theirs})
    sides = {
        "owner": {"reference": f"HealthcareService/{service['id']}"},
        "requester": {"reference": f"{here.base}/PractitionerRole/{role['id']}"},
    }
    order = await here.order(requester=sides["requester"])
    task = await here.referred("requested", order, **sides)
    for actor in (REQUESTER, STRANGER):
        problem(await here.move(task, "accepted", actor), 403)
    await here.moved(task, "accepted", OWNER)
    for actor in (OWNER, STRANGER):
        problem(await here.move(task, "entered-in-error", actor), 403)
    await here.moved(task, "cancelled", REQUESTER)
    problem(await here.put(order | {"status": "revoked"}, OWNER), 403)
    assert (await here.put(order | {"status": "revoked"}, REQUESTER)).status_code == 200


async def test_one_organization_may_be_on_both_sides(here: World) -> None:
    task = await here.referred("draft", owner={"reference": here.actors[REQUESTER]})
    for status in ("requested", "received", "accepted", "in-progress", "completed"):
        await here.moved(task, status, REQUESTER)


async def test_an_order_without_an_organization_belongs_to_who_referred_it(here: World) -> None:
    order = await here.order(requester=None)
    await here.referred("completed", order)
    for actor in (OWNER, STRANGER):
        problem(await here.put(order | {"status": "completed"}, actor), 403)
    assert (await here.put(order | {"status": "completed"}, REQUESTER)).status_code == 200


async def test_who_cannot_be_resolved_is_on_no_side(here: World) -> None:
    away = "https://other.example/fhir/Organization/" + here.actors[OWNER].partition("/")[2]
    for owner in ({"reference": away}, {"display": "A clinic"}):
        task = await here.referred("requested", owner=owner)
        problem(await here.move(task, "accepted", OWNER), 403)
        await here.moved(task, "accepted", NOBODY)
