"""What gravity-task sends, and the order it points to, against the definitions of SDOH Clinical Care 3.0.0."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.delivery.dialects import gravity_task
from app.fhir import validation
from app.fhir.json import dumps, loads
from app.fhir.own import codes
from app.fhir.types import Json
from tests.support.packages import FLAG, REQUEST, Endpoint, answer, changed, created, package, searchset
from tests.support.profiles import Profiles
from tests.support.servers import RunningServer

pytestmark = pytest.mark.samples

FHIR = {"Content-Type": "application/fhir+json"}
URL = "http://hl7.org/fhir/us/sdoh-clinicalcare/StructureDefinition"
TASK, ORDER = f"{URL}/SDOHCC-TaskForReferralManagement", f"{URL}/SDOHCC-ServiceRequest"


@pytest.fixture(scope="module")
def profiles(samples: Path) -> Profiles:
    return Profiles(samples / "sdohcc" / "definitions")


@pytest.fixture(scope="module")
def examples(samples: Path) -> list[Json]:
    return [loads(path.read_bytes()) for path in sorted((samples / "sdohcc" / "examples").glob("*.json"))]


async def sent(**changes: Any) -> Json:
    endpoint = Endpoint({"POST Task": [created("77")]})
    await gravity_task.deliver(package(**changes), endpoint, in_doubt=False)
    task: Json = endpoint.sent[0].body
    return task


VARIANTS: dict[str, dict[str, Any]] = {
    "full": {},
    "bare": {
        "task": {
            name: None
            for name in (
                "identifier",
                "basedOn",
                "priority",
                "for",
                "authoredOn",
                "owner",
                "note",
                "restriction",
                "input",
            )
        }
    },
    "cancelled meanwhile": {"task": {"status": "cancelled", "statusReason": {"coding": [{"code": "x"}]}}},
    "received meanwhile": {"task": {"status": "received", "businessStatus": {"text": "x"}}},
    "asked for by a person": {"task": {"requester": {"reference": "Practitioner/p"}}},
    "flagged": {"request": {"orderDetail": [FLAG]}},
    "with an output": {"task": {"output": [{"type": {"text": "x"}, "valueString": "y"}]}},
}


@pytest.mark.parametrize("variant", VARIANTS)
async def test_every_task_sent_has_what_the_profile_demands(profiles: Profiles, variant: str):
    task = await sent(**VARIANTS[variant])
    assert profiles.problems(task, TASK) == []
    assert TASK in task["meta"]["profile"]
    validation.check(task, "Task")


@pytest.mark.parametrize("detail", [None, [FLAG]])
def test_the_order_has_what_its_profile_demands(profiles: Profiles, detail: list[Json] | None):
    order = changed(REQUEST, {"orderDetail": detail})
    assert profiles.problems(order, ORDER) == []
    validation.check(order, "ServiceRequest")


async def test_the_copy_that_is_cancelled_has_what_the_profile_demands(profiles: Profiles):
    remote = await sent() | {"id": "77", "status": "accepted"}
    endpoint = Endpoint(
        {
            "GET Task": [searchset(remote)],
            "GET Task/77": [answer(200, remote)],
            "PUT Task/77": [answer(200)],
        }
    )
    why = {"coding": [{"system": "https://ours.example/fhir/CodeSystem/status-reason", "code": "order-revoked"}]}
    message = package("cancel", task={"status": "cancelled", "statusReason": why})
    await gravity_task.deliver(message, endpoint, in_doubt=False)
    put = endpoint.only("PUT Task/77").body
    assert profiles.problems(put, TASK) == []
    assert put["statusReason"]["text"]


def break_element(task: Json, id_: str) -> Json:
    """The Task without what an element demands."""
    broken = copy.deepcopy(task)
    path = id_.split(".")[1:]
    if path[0].partition(":")[0] in ("input", "output"):
        kind = {"coding": [{"system": codes.SDOHCC, "code": "resulting-activity"}]}
        broken["output"] = [{"type": kind, "valueReference": {"display": "x"}}]
        return broken
    if path == ["statusReason", "text"]:
        broken["statusReason"] = {"coding": [{"code": "x"}]}
    else:
        del broken[path[0]]
    return broken


async def test_the_check_notices_when_a_demanded_element_is_missing(profiles: Profiles):
    """The check itself can fail: each demand of the profile that is about the whole Task."""
    task = await sent()
    demanded = [one["id"] for one in profiles.demanded(TASK) if one.get("min")]
    assert {
        "Task.code",
        "Task.focus",
        "Task.for",
        "Task.authoredOn",
        "Task.requester",
        "Task.statusReason.text",
    } <= set(demanded)
    for id_ in demanded:
        if ":" not in id_:
            assert f"{id_}: missing" in profiles.problems(break_element(task, id_), TASK)
    wrong: list[tuple[str, Json]] = [
        ("Task.intent", {"intent": "plan"}),
        ("Task.status", {"status": "received"}),
        ("Task.code", {"code": {"coding": [{"system": codes.TASK_CODE, "code": "abort"}]}}),
        ("Task.focus", {"focus": {"reference": "https://x.example/Procedure/1"}}),
        ("Task.requester", {"requester": {"reference": "Practitioner/1"}}),
    ]
    for id_, elements in wrong:
        assert [text.partition(":")[0] for text in profiles.problems(task | elements, TASK)] == [id_]
    for id_ in ("specimen", "bodySite"):
        order = REQUEST | {id_: [{"reference": "Specimen/1"}]}
        assert profiles.problems(order, ORDER) == [f"ServiceRequest.{id_}: too many"]


def test_the_examples_pass_the_same_check(profiles: Profiles, examples: list[Json]):
    checked = [
        (one["id"], profiles.problems(one, url))
        for one in examples
        for url in one.get("meta", {}).get("profile", ())
        if url in (TASK, ORDER)
    ]
    assert len(checked) >= 7
    assert [problems for _, problems in checked if problems] == []


def without_meta(resource: Json) -> Json:
    return {name: value for name, value in resource.items() if name != "meta"}


async def test_the_examples_load_whole_and_keep_their_references(
    examples: list[Json], database: str, start_server: Callable[..., RunningServer]
):
    """As one transaction, with referential integrity on: every reference among them leads somewhere."""
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}} for one in examples
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    base = start_server(database).base
    async with httpx.AsyncClient(base_url=base + "/", timeout=60) as http:
        posted = await http.post("", content=dumps(bundle), headers={"Prefer": "return=minimal"} | FHIR)
        assert posted.status_code == 200, posted.text[:2000]
        assert {entry["response"]["status"][:3] for entry in posted.json()["entry"]} == {"201"}
        for one in examples:
            read = await http.get(f"{one['resourceType']}/{one['id']}")
            assert without_meta(loads(read.content)) == without_meta(one)
        referrals = await http.get("Task", params={"code": f"{codes.TASK_CODE}|fulfill", "_include": "Task:focus"})
        kinds = [entry["resource"]["resourceType"] for entry in referrals.json()["entry"]]
        assert kinds.count("ServiceRequest") >= 2
