"""fhir-transaction: all that the recipient needs in one Bundle, which makes nothing new the second time."""

from __future__ import annotations

from typing import Any

import pytest

from app.delivery.dialects import fhir_transaction
from app.delivery.dialects.base import Answer, Receipt, Refused, Unresolvable, Unsuitable
from app.delivery.dialects.safety import WARNING
from app.fhir import validation
from app.fhir.json import dumps
from app.fhir.types import Json
from tests.support.packages import (
    ADDRESS,
    AGENCY,
    BASE,
    FLAG,
    PLACER,
    TASK,
    Endpoint,
    Sent,
    abort_package,
    answer,
    changed,
    package,
    searchset,
    theirs,
)

RESOURCES = f"{BASE}/identifier/resource"


def done(sent: Sent, *, statuses: str = "201 Created", echo: bool = True) -> Answer:
    """The answer of a server that did it."""
    entries = []
    for number, entry in enumerate(sent.body["entry"]):
        kind = entry["resource"]["resourceType"]
        location = f"{kind}/{number}/_history/1"
        made: Json = {"response": {"status": statuses, "location": location}}
        if echo and kind == "Task":
            inner = Sent("POST", "Task", [], {}, entry["resource"], b"")
            made["resource"] = theirs(inner, str(number), {"system": "https://theirs.example/tasks", "value": "T"})
        entries.append(made)
    return answer(200, {"resourceType": "Bundle", "type": "transaction-response", "entry": entries})


def bundle(**changes: Any) -> Json:
    return fhir_transaction.transaction(package(**changes))


def by_type(made: Json) -> dict[str, Json]:
    return {entry["resource"]["resourceType"]: entry for entry in made["entry"]}


def references(value: Any) -> list[Json]:
    if isinstance(value, list):
        return [found for item in value for found in references(item)]
    if isinstance(value, dict):
        own = [value] if isinstance(value.get("reference"), str) else []
        return own + [found for item in value.values() for found in references(item)]
    return []


async def test_the_bundle_is_posted_to_the_address_and_its_last_entry_is_the_task():
    endpoint = Endpoint({"POST": [done]})
    receipt = await fhir_transaction.deliver(package(), endpoint, in_doubt=False)
    made = endpoint.sent[0].body
    assert made["type"] == "transaction"
    assert [entry["resource"]["resourceType"] for entry in made["entry"]] == [
        "Patient",
        "Organization",
        "HealthcareService",
        "QuestionnaireResponse",
        "Condition",
        "Organization",
        "Consent",
        "ServiceRequest",
        "Task",
    ]
    assert receipt.remote == f"{ADDRESS}/Task/8"
    assert [one["value"] for one in receipt.identifiers] == ["T"]
    validation.check(made, "Bundle")


def test_every_entry_is_conditional_on_an_identifier_that_it_holds():
    made = bundle()
    for entry in made["entry"]:
        condition = entry["request"]["ifNoneExist"]
        assert entry["request"] == {
            "method": "POST",
            "url": entry["resource"]["resourceType"],
            "ifNoneExist": condition,
        }
        held = entry["resource"]["identifier"]
        keys = {f"identifier={one['system']}|{one['value']}" for one in (held if isinstance(held, list) else [held])}
        assert condition in keys
        validation.check(entry["resource"])
    entries = by_type(made)
    assert entries["Patient"]["request"]["ifNoneExist"] == "identifier=https://clinic.example/mrn|MRN-77"
    assert entries["Task"]["request"]["ifNoneExist"] == f"identifier={PLACER[0]}|{PLACER[1]}"
    assert entries["Condition"]["request"]["ifNoneExist"].startswith(f"identifier={RESOURCES}|urn:uuid:")
    assert entries["QuestionnaireResponse"]["resource"]["identifier"]["system"] == RESOURCES


def test_an_identifier_out_of_use_identifies_nobody():
    held = [{"use": "old", "system": "x", "value": "1"}, {"system": "x", "value": "2", "period": {"end": "2020"}}]
    patient = package().resources["Patient/p1"] | {"identifier": [*held, {"system": "x", "value": "3"}]}
    made = bundle(resources={"Patient/p1": patient})
    assert by_type(made)["Patient"]["request"]["ifNoneExist"] == "identifier=x|3"


def test_the_same_message_is_the_same_bundle_and_another_is_not():
    assert bundle() == bundle()
    urls = [entry["fullUrl"] for entry in bundle()["entry"]]
    assert len(set(urls)) == len(urls)
    other = package()
    other = type(other)(**{name: getattr(other, name) for name in other.__slots__} | {"message_id": "another"})
    assert not {entry["fullUrl"] for entry in fhir_transaction.transaction(other)["entry"]} & set(urls)
    conditions = [entry["request"]["ifNoneExist"] for entry in bundle()["entry"]]
    assert [entry["request"]["ifNoneExist"] for entry in fhir_transaction.transaction(other)["entry"]] == conditions


def test_the_entries_refer_to_each_other_and_to_nothing_outside_literally():
    made = bundle()
    urls = {entry["fullUrl"] for entry in made["entry"]}
    assert {one["reference"] for entry in made["entry"] for one in references(entry["resource"])} <= urls
    entries = by_type(made)
    task = entries["Task"]["resource"]
    assert task["focus"]["reference"] == entries["ServiceRequest"]["fullUrl"]
    assert task["for"]["reference"] == entries["Patient"]["fullUrl"]
    assert task["input"][0]["valueReference"]["reference"] == entries["QuestionnaireResponse"]["fullUrl"]
    assert entries["Consent"]["resource"]["patient"]["reference"] == entries["Patient"]["fullUrl"]
    plan = {"system": "urn:ietf:rfc:3986", "value": f"{BASE}/CarePlan/plan"}
    assert task["basedOn"] == [{"type": "CarePlan", "identifier": plan}]
    assert entries["Condition"]["resource"]["encounter"]["identifier"]["value"] == f"{BASE}/Encounter/e1"


def test_only_what_the_work_needs_is_carried():
    plan = {"resourceType": "CarePlan", "id": "plan", "status": "active", "intent": "plan"}
    binary = {"resourceType": "Binary", "id": "b", "contentType": "text/plain"}
    inputs = [{"type": {"text": "x"}, "valueReference": {"reference": "Binary/b"}}]
    made = bundle(resources={"CarePlan/plan": plan, "Binary/b": binary}, task={"input": inputs})
    kinds = {entry["resource"]["resourceType"] for entry in made["entry"]}
    assert not {"CarePlan", "Binary", "QuestionnaireResponse"} & kinds
    assert all("text" not in entry["resource"] for entry in made["entry"])


def test_without_the_clients_record_there_is_nothing_to_send():
    with pytest.raises(Unsuitable):
        bundle(resources={"Patient/p1": None})


def test_under_the_safety_flag_nobody_learns_how_to_reach_the_client():
    made = bundle(request={"orderDetail": [FLAG]})
    assert b"555-0147" not in dumps(made)
    assert b"555-0199" not in dumps(made)
    assert b"Harbour Road" not in dumps(made)
    entries = by_type(made)
    assert entries["ServiceRequest"]["resource"]["orderDetail"] == [FLAG]
    assert entries["ServiceRequest"]["resource"]["note"][0]["text"] == WARNING
    assert entries["Task"]["resource"]["note"][0]["text"] == WARNING
    assert b"555-1000" in dumps(made)
    assert b"555-0147" in dumps(bundle())


async def test_in_doubt_the_task_is_looked_for_first():
    endpoint = Endpoint({"GET Task": [searchset(changed(TASK, {"id": "8"}))]})
    receipt = await fhir_transaction.deliver(package(), endpoint, in_doubt=True)
    assert endpoint.lines == ["GET Task"]
    assert receipt == Receipt(remote=f"{ADDRESS}/Task/8", identifiers=receipt.identifiers, found=True)
    blind = Endpoint({"GET Task": [answer(400)]})
    with pytest.raises(Unresolvable):
        await fhir_transaction.deliver(package(), blind, in_doubt=True)
    assert blind.lines == ["GET Task"]


async def test_what_was_there_already_is_told_by_the_status_of_the_entry():
    endpoint = Endpoint({"POST": [lambda sent: done(sent, statuses="200 OK", echo=False)]})
    receipt = await fhir_transaction.deliver(package(), endpoint, in_doubt=False)
    assert receipt.found
    assert receipt.remote == f"{ADDRESS}/Task/8"


@pytest.mark.parametrize("body", [None, {"resourceType": "OperationOutcome"}, {"entry": [None] * 9}, {"entry": 7}])
async def test_a_success_that_tells_nothing_is_followed_by_a_look(body: Any):
    endpoint = Endpoint({"POST": [answer(200, body)], "GET Task": [searchset(changed(TASK, {"id": "8"}))]})
    receipt = await fhir_transaction.deliver(package(), endpoint, in_doubt=False)
    assert receipt.remote == f"{ADDRESS}/Task/8"


async def test_a_bundle_whose_task_failed_is_a_refusal():
    endpoint = Endpoint({"POST": [lambda sent: done(sent, statuses="422 Unprocessable", echo=False)]})
    with pytest.raises(Refused) as caught:
        await fhir_transaction.deliver(package(), endpoint, in_doubt=False)
    assert caught.value.answer.status == 422


@pytest.mark.parametrize("status", [400, 401, 404, 412, 500, 503])
async def test_whatever_is_no_success_is_a_refusal(status: int):
    endpoint = Endpoint({"POST": [answer(status)]})
    with pytest.raises(Refused):
        await fhir_transaction.deliver(package(), endpoint, in_doubt=False)


async def test_an_answer_of_202_is_not_confirmed():
    endpoint = Endpoint({"POST": [answer(202)]})
    assert await fhir_transaction.deliver(package(), endpoint, in_doubt=False) == Receipt(confirmed=False)


async def test_the_task_is_cancelled_and_aborted_like_any_other():
    remote = changed(TASK, {"id": "8"})
    endpoint = Endpoint({"GET Task/8": [answer(200, remote)], "PUT Task/8": [answer(200)]})
    await fhir_transaction.deliver(package("cancel", remote=f"{ADDRESS}/Task/8"), endpoint, in_doubt=False)
    assert endpoint.lines == ["GET Task/8", "PUT Task/8"]
    assert endpoint.sent[1].headers["if-match"] == 'W/"1"'
    asked = Endpoint({"GET Task/8": [answer(200, remote)], "POST Task": [answer(201)], "GET Task": [searchset()]})
    await fhir_transaction.deliver(abort_package(f"{ADDRESS}/Task/8"), asked, in_doubt=False)
    assert asked.lines == ["GET Task/8", "POST Task", "GET Task"]


def test_recipients_and_their_organizations_come_along():
    entries = bundle()["entry"]
    agency = next(entry for entry in entries if entry["resource"].get("name") == AGENCY["name"])
    service = next(entry for entry in entries if entry["resource"]["resourceType"] == "HealthcareService")
    assert service["resource"]["providedBy"]["reference"] == agency["fullUrl"]
    assert agency["request"]["ifNoneExist"] == "identifier=http://hl7.org/fhir/sid/us-npi|1234567893"
