"""`ServiceRequest/{id}/$refer`: what it makes, in one transaction, and what each parameter does."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from app.fhir.validation import check
from tests.support.factories import care_plan, concept, identifier, patient, reference, service_request, unique
from tests.support.referrals import FHIR_REST, SDOHCC, Clinic, Json, codes_of, parameters, tasks_of, warnings_of

TASK_CODE = "http://hl7.org/fhir/CodeSystem/task-code"
ACTOR = "X-CareLoop-Actor"


@pytest.fixture
def clinic(client: httpx.AsyncClient) -> Clinic:
    return Clinic(client)


async def provenances(clinic: Clinic, task: Json) -> list[Json]:
    return await clinic.found(f"Provenance?target=Task/{task['id']}")


# What is made


async def test_a_draft_order_becomes_active_and_its_recipient_gets_a_task(clinic: Clinic) -> None:
    recipient, order = await clinic.recipient(), await clinic.order(status="draft", priority="asap")
    answer = await clinic.refer(order, recipient)
    assert answer.status_code == 201
    bundle = answer.json()
    assert bundle["type"] == "collection"
    check(bundle, "Bundle")
    (entry,) = bundle["entry"]
    task = entry["resource"]
    assert entry["fullUrl"] == f"{clinic.base}/Task/{task['id']}"
    assert answer.headers["location"] == f"{clinic.base}/Task/{task['id']}/_history/1"
    assert (await clinic.read(f"ServiceRequest/{order['id']}"))["status"] == "active"
    assert await clinic.read(f"Task/{task['id']}") == task
    assert (task["status"], task["intent"], task["priority"]) == ("requested", "order", "asap")
    assert task["code"]["coding"][0] == {
        "system": TASK_CODE,
        "code": "fulfill",
        "display": "Fulfill the focal request",
    }
    assert task["focus"] == reference(order)
    assert task["for"] == order["subject"]
    assert task["owner"] == reference(recipient)
    assert task["requester"] == order["requester"]
    assert task["authoredOn"]
    assert task["lastModified"]
    (placer,) = task["identifier"]
    assert placer["type"]["coding"][0]["code"] == "PLAC"
    assert placer["system"] == f"{clinic.base}/identifier/task"
    assert placer["value"].startswith("urn:uuid:")
    assert task["groupIdentifier"]["value"].startswith("urn:uuid:")
    assert clinic.value_of(task, "delivery-endpoint") == recipient["endpoint"][0]
    assert clinic.value_of(task, "referral-strategy") is None


async def test_the_delivery_is_ordered_in_the_same_transaction(clinic: Clinic) -> None:
    recipient, order = await clinic.recipient("fhir-transaction"), await clinic.order()
    (task,) = await clinic.referred(order, recipient)
    (delivery,) = await clinic.deliveries(task)
    assert (delivery["kind"], delivery["dialect"]) == ("submit", "fhir-transaction")
    assert delivery["endpoint"] == recipient["endpoint"][0]
    assert delivery["urgent"] is False


@pytest.mark.parametrize(("priority", "urgent"), [("routine", False), ("urgent", True), ("asap", True), ("stat", True)])
async def test_an_urgent_referral_is_delivered_urgently(clinic: Clinic, priority: str, urgent: bool) -> None:
    (task,) = await clinic.referred(await clinic.order(), await clinic.recipient(), priority=priority)
    assert task["priority"] == priority
    assert (await clinic.deliveries(task))[0]["urgent"] is urgent


async def test_the_priority_is_that_of_the_parameter_then_of_the_order_then_routine(clinic: Clinic) -> None:
    recipient = await clinic.recipient()
    (task,) = await clinic.referred(await clinic.order(priority="stat"), recipient, priority="urgent")
    assert task["priority"] == "urgent"
    (task,) = await clinic.referred(await clinic.order(), recipient)
    assert task["priority"] == "routine"


async def test_provenance_names_the_tasks_the_order_and_who_did_it(clinic: Clinic) -> None:
    requester = await clinic.organization()
    order = await clinic.order(requester=reference(requester))
    actor = f"Organization/{requester['id']}"
    (task,) = await clinic.referred(order, await clinic.recipient(), headers={ACTOR: actor})
    (made,) = await provenances(clinic, task)
    assert {each["reference"] for each in made["target"]} == {f"Task/{task['id']}", f"ServiceRequest/{order['id']}"}
    assert made["agent"][0]["who"] == {"reference": actor}
    assert "reason" not in made


async def test_the_requester_is_the_actor_before_that_of_the_order(clinic: Clinic) -> None:
    service = await clinic.organization()
    role = await clinic.put({"resourceType": "PractitionerRole", "organization": reference(service)})
    order = await clinic.order(requester=reference(role))
    (task,) = await clinic.referred(order, await clinic.recipient(), headers={ACTOR: f"Organization/{service['id']}"})
    assert task["requester"] == reference(service)


async def test_an_order_without_a_requester_is_referred_with_a_warning(clinic: Clinic) -> None:
    order = await clinic.put(service_request(await clinic.client_()))
    answer = await clinic.refer(order, await clinic.recipient())
    assert answer.status_code == 201
    assert warnings_of(answer.json()) == ["no-requester"]
    assert "requester" not in tasks_of(answer.json())[0]


async def test_the_task_is_based_on_the_plan_whose_activity_is_the_order(clinic: Clinic) -> None:
    order = await clinic.order()
    activity = [{"reference": reference(order)}]
    plan = await clinic.put(care_plan(order["subject"]["reference"], activity=activity))
    await clinic.put(care_plan(order["subject"]["reference"], activity=activity, status="entered-in-error"))
    (task,) = await clinic.referred(order, await clinic.recipient())
    assert task["basedOn"] == [reference(plan)]


async def test_the_requisition_of_the_order_groups_its_tasks(clinic: Clinic) -> None:
    requisition = identifier(unique())
    order = await clinic.order(requisition=requisition)
    (task,) = await clinic.referred(order, await clinic.recipient())
    assert task["groupIdentifier"] == requisition


async def test_inputs_period_note_and_consent_go_with_the_task(clinic: Clinic) -> None:
    order = await clinic.order()
    consent = await clinic.put(
        {
            "resourceType": "Consent",
            "status": "active",
            "scope": concept("patient-privacy", "http://terminology.hl7.org/CodeSystem/consentscope"),
            "category": [concept("59284-0")],
            "patient": order["subject"],
            "policyRule": {"text": "May be shared"},
        }
    )
    letter = await clinic.put(
        {"resourceType": "DocumentReference", "status": "current", "content": [{"attachment": {"title": "Letter"}}]}
    )
    elsewhere = {"reference": "https://elsewhere.example/fhir/Observation/1", "display": "Elsewhere"}
    period = {"start": "2026-12-01", "end": "2026-12-24T12:00:00+01:00"}
    (task,) = await clinic.referred(
        order,
        await clinic.recipient(),
        input=[reference(letter), elsewhere],
        period=period,
        note="Please ring twice.",
        consent=reference(consent),
    )
    contents = [each["valueReference"] for each in task["input"]]
    assert contents == [reference(letter), elsewhere, reference(consent)]
    assert {each["type"]["coding"][0]["code"] for each in task["input"]} == {"additional-content"}
    assert {each["type"]["coding"][0]["system"] for each in task["input"]} == {SDOHCC}
    assert task["input"][2]["type"]["text"] == "Consent"
    assert task["restriction"] == {"period": period}
    assert task["note"][0]["text"] == "Please ring twice."


async def test_that_nobody_may_contact_the_client_is_carried(clinic: Clinic) -> None:
    order = await clinic.order(orderDetail=[concept("contacting-subject-prohibited", SDOHCC)])
    (task,) = await clinic.referred(order, await clinic.recipient())
    (flag,) = task["input"]
    assert flag["type"]["coding"][0]["code"] == "contacting-subject-prohibited"
    assert flag["valueBoolean"] is True
    assert (await clinic.read(f"ServiceRequest/{order['id']}"))["orderDetail"] == order["orderDetail"]


async def test_an_active_order_keeps_its_version_and_its_text(clinic: Clinic) -> None:
    order = await clinic.order(quantityQuantity={"value": 1.50})
    await clinic.referred(order, await clinic.recipient())
    assert await clinic.read(f"ServiceRequest/{order['id']}") == order


async def test_what_a_client_wrote_survives_the_change_to_active(clinic: Clinic) -> None:
    subject = await clinic.client_()
    raw = json.dumps(service_request(subject, status="draft", id=unique())).replace(
        '"status"', '"quantityQuantity":{"value":1.500},"status"'
    )
    id_ = json.loads(raw)["id"]
    headers = {"Content-Type": "application/fhir+json"}
    answer = await clinic.http.put(f"ServiceRequest/{id_}", content=raw, headers=headers)
    assert answer.status_code == 201
    await clinic.referred(answer.json(), await clinic.recipient())
    text = (await clinic.http.get(f"ServiceRequest/{id_}")).text
    assert '"value":1.500' in text
    assert '"status":"active"' in text


# Ways to a recipient


async def test_the_best_dialect_of_several_endpoints_is_taken(clinic: Clinic) -> None:
    offered = [await clinic.endpoint(name) for name in ("webhook", "light", "servicerequest", "ehr-document", None)]
    recipient = await clinic.organization(endpoint=[reference(each) for each in offered])
    (task,) = await clinic.referred(await clinic.order(), recipient)
    assert clinic.value_of(task, "delivery-endpoint") == reference(offered[2])
    assert (await clinic.deliveries(task))[0]["dialect"] == "servicerequest"


async def test_the_dialect_may_be_stated_by_the_payload(clinic: Clinic) -> None:
    payload = [concept("ServiceRequest", "http://hl7.org/fhir/resource-types")]
    endpoint = await clinic.endpoint(None, payloadType=payload)
    recipient = await clinic.organization(endpoint=[reference(endpoint)])
    (task,) = await clinic.referred(await clinic.order(), recipient)
    assert (await clinic.deliveries(task))[0]["dialect"] == "servicerequest"


async def test_an_endpoint_that_is_this_server_is_light(clinic: Clinic) -> None:
    endpoint = await clinic.endpoint(None, address=clinic.base)
    recipient = await clinic.organization(endpoint=[reference(endpoint)])
    answer = await clinic.refer(await clinic.order(), recipient)
    (task,) = tasks_of(answer.json())
    assert warnings_of(answer.json()) == []
    assert (await clinic.deliveries(task))[0]["dialect"] == "light"


@pytest.mark.parametrize(
    "fault",
    [
        {"status": "off"},
        {"status": "entered-in-error"},
        {"period": {"end": "2020-01-01"}},
        {"address": "mailto:intake@example.org"},
        {"connectionType": FHIR_REST | {"code": "dicom-wado-rs"}},
    ],
)
async def test_unusable_endpoints_are_passed_over(clinic: Clinic, fault: Json) -> None:
    bad, good = await clinic.endpoint(None, **fault), await clinic.endpoint("ehr-document")
    recipient = await clinic.organization(endpoint=[reference(bad), reference(good)])
    (task,) = await clinic.referred(await clinic.order(), recipient)
    assert clinic.value_of(task, "delivery-endpoint") == reference(good)


async def test_a_service_is_reached_through_its_provider_and_that_through_its_parent(clinic: Clinic) -> None:
    top = await clinic.recipient()
    middle = await clinic.organization(partOf=reference(top))
    service = await clinic.put({"resourceType": "HealthcareService", "providedBy": reference(middle)})
    role = await clinic.put({"resourceType": "PractitionerRole", "organization": reference(middle)})
    for recipient in (service, role):
        (task,) = await clinic.referred(await clinic.order(), recipient)
        assert task["owner"] == reference(recipient)
        assert clinic.value_of(task, "delivery-endpoint") == top["endpoint"][0]


async def test_an_endpoint_of_its_own_comes_before_a_better_one_above(clinic: Clinic) -> None:
    top, own = await clinic.recipient("gravity-task"), await clinic.endpoint("webhook")
    service = await clinic.put(
        {"resourceType": "HealthcareService", "providedBy": reference(top), "endpoint": [reference(own)]}
    )
    (task,) = await clinic.referred(await clinic.order(), service)
    assert clinic.value_of(task, "delivery-endpoint") == reference(own)


async def test_organizations_in_a_circle_end(clinic: Clinic) -> None:
    first = await clinic.organization()
    second = await clinic.organization(partOf=reference(first))
    await clinic.put(first | {"partOf": reference(second)})
    answer = await clinic.refer(await clinic.order(), first)
    assert warnings_of(answer.json()) == ["no-endpoint"]


async def test_a_recipient_without_an_address_becomes_work_for_a_person(clinic: Clinic) -> None:
    requester, recipient = await clinic.organization(), await clinic.organization()
    order = await clinic.order(requester=reference(requester))
    answer = await clinic.refer(order, recipient)
    assert answer.status_code == 201
    assert warnings_of(answer.json()) == ["no-endpoint"]
    (task,) = tasks_of(answer.json())
    assert clinic.value_of(task, "delivery-endpoint") is None
    (delivery,) = await clinic.deliveries(task)
    assert (delivery["state"], delivery["dialect"], delivery["attempts"]) == ("manual", "worklist", 0)
    assert "endpoint" not in delivery
    (item,) = await clinic.found(f"Task?focus=Task/{task['id']}")
    assert item["code"]["coding"][0] == {
        "system": f"{clinic.base}/CodeSystem/task-code",
        "code": "contact-recipient",
        "display": "Contact recipient",
    }
    assert (item["owner"], item["for"], item["status"]) == (reference(requester), order["subject"], "requested")


async def test_the_endpoint_that_is_named_is_taken(clinic: Clinic) -> None:
    recipient, hub = await clinic.recipient(), await clinic.endpoint("light")
    answer = await clinic.refer(await clinic.order(), recipient, endpoint=reference(hub))
    (task,) = tasks_of(answer.json())
    assert clinic.value_of(task, "delivery-endpoint") == reference(hub)
    assert warnings_of(answer.json()) == ["endpoint-of-another"]
    (task,) = await clinic.referred(await clinic.order(), recipient, endpoint=recipient["endpoint"][0])
    assert clinic.value_of(task, "delivery-endpoint") == recipient["endpoint"][0]


# Strategies


async def test_parallel_asks_everybody_at_once(clinic: Clinic) -> None:
    recipients = [await clinic.recipient() for _ in range(3)]
    answer = await clinic.refer(await clinic.order(), *recipients, strategy="parallel")
    assert answer.status_code == 201
    assert "location" not in answer.headers
    tasks = tasks_of(answer.json())
    assert [task["owner"] for task in tasks] == [reference(each) for each in recipients]
    assert {task["status"] for task in tasks} == {"requested"}
    assert {clinic.value_of(task, "referral-strategy") for task in tasks} == {"parallel"}
    assert {clinic.value_of(task, "referral-position") for task in tasks} == {None}
    assert len({task["groupIdentifier"]["value"] for task in tasks}) == 1
    assert len({task["identifier"][0]["value"] for task in tasks}) == 3
    assert [len(await clinic.deliveries(task)) for task in tasks] == [1, 1, 1]
    assert len(await provenances(clinic, tasks[0])) == 1


async def test_sequential_asks_the_first_and_keeps_the_others_waiting(clinic: Clinic) -> None:
    recipients = [await clinic.recipient() for _ in range(3)]
    tasks = await clinic.referred(await clinic.order(), *recipients, strategy="sequential")
    assert [task["status"] for task in tasks] == ["requested", "draft", "draft"]
    assert [clinic.value_of(task, "referral-position") for task in tasks] == [1, 2, 3]
    assert {clinic.value_of(task, "referral-strategy") for task in tasks} == {"sequential"}
    assert [clinic.value_of(task, "delivery-endpoint") for task in tasks] == [r["endpoint"][0] for r in recipients]
    assert [len(await clinic.deliveries(task)) for task in tasks] == [1, 0, 0]


async def referred_twice(clinic: Clinic, strategy: str) -> tuple[list[Json], list[Json]]:
    """The Tasks of two referrals of one order, which all have its requisition."""
    order = await clinic.order(requisition=identifier(unique()))
    calls = []
    for _ in range(2):
        recipients = [await clinic.recipient("light") for _ in range(2)]
        calls.append(await clinic.referred(order, *recipients, strategy=strategy))
    assert len({task["groupIdentifier"]["value"] for tasks in calls for task in tasks}) == 1
    return calls[0], calls[1]


async def statuses(clinic: Clinic, tasks: list[Json]) -> list[str]:
    return [(await clinic.read(f"Task/{task['id']}"))["status"] for task in tasks]


async def test_each_sequence_of_an_order_goes_on_by_itself(clinic: Clinic) -> None:
    first, second = await referred_twice(clinic, "sequential")
    await clinic.patch(first[0], status="rejected", statusReason={"text": "Full"})
    assert await statuses(clinic, first) == ["rejected", "requested"]
    assert await statuses(clinic, second) == ["requested", "draft"]


async def test_each_parallel_referral_of_an_order_selects_its_own(clinic: Clinic) -> None:
    first, second = await referred_twice(clinic, "parallel")
    for tasks in (first, second):
        await clinic.patch(await clinic.read(f"Task/{tasks[0]['id']}"), status="accepted")
        assert await statuses(clinic, tasks) == ["accepted", "cancelled"]


async def test_a_strategy_with_one_recipient_gives_a_location(clinic: Clinic) -> None:
    answer = await clinic.refer(await clinic.order(), await clinic.recipient(), strategy="parallel")
    assert answer.status_code == 201
    assert answer.headers["location"]


async def test_the_next_in_a_sequence_without_an_address_is_work_for_a_person(clinic: Clinic) -> None:
    first, second = await clinic.recipient("light"), await clinic.organization()
    tasks = await clinic.referred(await clinic.order(), first, second, strategy="sequential")
    await clinic.patch(tasks[0], status="rejected", statusReason={"text": "Full"})
    assert (await clinic.read(f"Task/{tasks[1]['id']}"))["status"] == "requested"
    (delivery,) = await clinic.deliveries(tasks[1])
    assert (delivery["state"], delivery["dialect"]) == ("manual", "worklist")
    assert len(await clinic.found(f"Task?focus=Task/{tasks[1]['id']}")) == 1


# dryRun


async def test_a_dry_run_tells_what_would_be_made_and_changes_nothing(clinic: Clinic) -> None:
    order = await clinic.order(status="draft")
    recipients = [await clinic.organization(), await clinic.recipient()]
    answer = await clinic.refer(order, *recipients, strategy="parallel", dryRun=True)
    assert answer.status_code == 200
    assert "location" not in answer.headers
    check(answer.json(), "Bundle")
    tasks = tasks_of(answer.json())
    assert [task["owner"] for task in tasks] == [reference(each) for each in recipients]
    assert all(each["fullUrl"].startswith("urn:uuid:") for each in answer.json()["entry"])
    assert not any("id" in task or "meta" in task for task in tasks)
    assert warnings_of(answer.json()) == ["no-endpoint"]
    assert await clinic.read(f"ServiceRequest/{order['id']}") == order
    assert await clinic.found(f"Task?patient={order['subject']['reference']}") == []
    assert await clinic.found(f"Provenance?target=ServiceRequest/{order['id']}") == []


async def test_a_dry_run_is_refused_like_the_real_thing(clinic: Clinic) -> None:
    order = await clinic.order(status="completed")
    answer = await clinic.refer(order, await clinic.recipient(), dryRun=True)
    assert answer.status_code == 409
    assert codes_of(answer.json()) == ["servicerequest-not-active"]


async def test_a_dry_run_in_a_transaction_leaves_the_others_alone(clinic: Clinic) -> None:
    order, recipient, new = await clinic.order(status="draft"), await clinic.recipient(), unique()
    body = parameters([("recipient", reference(recipient)), ("dryRun", True)])
    answer = await clinic.http.post(
        "",
        json={
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {"request": {"method": "POST", "url": f"ServiceRequest/{order['id']}/$refer"}, "resource": body},
                {"request": {"method": "PUT", "url": f"Patient/{new}"}, "resource": patient(id=new)},
            ],
        },
    )
    assert answer.status_code == 200
    first, second = answer.json()["entry"]
    assert (first["response"]["status"][:3], second["response"]["status"][:3]) == ("200", "201")
    assert (await clinic.read(f"ServiceRequest/{order['id']}"))["status"] == "draft"
    assert (await clinic.http.get(f"Patient/{new}")).status_code == 200


# In bundles


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_it_works_in_a_bundle(clinic: Clinic, kind: str) -> None:
    subject, recipient, id_ = await clinic.client_(), await clinic.recipient(), unique()
    order = service_request(subject, id=id_, status="draft")
    body = parameters([("recipient", reference(recipient))])
    entries = [
        {"request": {"method": "PUT", "url": f"ServiceRequest/{id_}"}, "resource": order},
        {"request": {"method": "POST", "url": f"ServiceRequest/{id_}/$refer"}, "resource": body},
    ]
    if kind == "transaction":
        entries.reverse()
    answer = await clinic.http.post("", json={"resourceType": "Bundle", "type": kind, "entry": entries})
    assert answer.status_code == 200, answer.text
    told = {each["response"]["status"][:3] for each in answer.json()["entry"]}
    assert told == {"201"}
    listed = answer.json()["entry"]
    (done,) = [each for each in listed if each.get("resource", {}).get("resourceType") == "Bundle"]
    (task,) = tasks_of(done["resource"])
    assert done["response"]["location"].endswith(f"Task/{task['id']}/_history/1")
    assert (await clinic.read(f"ServiceRequest/{id_}"))["status"] == "active"
    assert len(await clinic.deliveries(task)) == 1


async def test_a_refusal_takes_its_whole_transaction_back(clinic: Clinic) -> None:
    order, recipient, new = await clinic.order(status="revoked"), await clinic.recipient(), unique()
    body = parameters([("recipient", reference(recipient))])
    answer = await clinic.http.post(
        "",
        json={
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {"request": {"method": "PUT", "url": f"Patient/{new}"}, "resource": patient(id=new)},
                {"request": {"method": "POST", "url": f"ServiceRequest/{order['id']}/$refer"}, "resource": body},
            ],
        },
    )
    assert answer.status_code == 409
    assert codes_of(answer.json()) == ["servicerequest-not-active"]
    assert (await clinic.http.get(f"Patient/{new}")).status_code == 404


async def test_if_match_of_a_bundle_entry_counts(clinic: Clinic) -> None:
    order, recipient = await clinic.order(), await clinic.recipient()
    body = parameters([("recipient", reference(recipient))])
    request = {"method": "POST", "url": f"ServiceRequest/{order['id']}/$refer", "ifMatch": 'W/"7"'}
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": request, "resource": body}]}
    (entry,) = (await clinic.http.post("", json=bundle)).json()["entry"]
    assert entry["response"]["status"].startswith("412")


# Many at once


async def test_many_at_once_make_one_task(clinic: Clinic) -> None:
    order, recipient = await clinic.order(status="draft"), await clinic.recipient()
    answers = await asyncio.gather(*(clinic.refer(order, recipient) for _ in range(64)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [201] + [409] * 63
    refused = {code for answer in answers if answer.status_code == 409 for code in codes_of(answer.json())}
    assert refused == {"task-already-open"}
    assert len(await clinic.found(f"Task?focus=ServiceRequest/{order['id']}")) == 1


async def test_different_recipients_at_once_all_get_theirs(clinic: Clinic) -> None:
    order, recipients = await clinic.order(status="draft"), [await clinic.recipient() for _ in range(8)]
    answers = await asyncio.gather(*(clinic.refer(order, each) for each in recipients))
    assert {answer.status_code for answer in answers} == {201}
    owners = [task["owner"] for task in await clinic.found(f"Task?focus=ServiceRequest/{order['id']}")]
    assert sorted(each["reference"] for each in owners) == sorted(f"Organization/{r['id']}" for r in recipients)


# If-Match and Idempotency-Key


async def test_if_match_must_name_the_version(clinic: Clinic) -> None:
    order, recipient = await clinic.order(), await clinic.recipient()
    answer = await clinic.refer(order, recipient, headers={"If-Match": 'W/"2"'})
    assert answer.status_code == 412
    assert answer.json()["issue"][0]["code"] == "conflict"
    assert codes_of(answer.json()) == ["version-mismatch"]
    answer = await clinic.refer(order, recipient, headers={"If-Match": 'W/"1"'})
    assert answer.status_code == 201


async def test_a_key_gets_the_first_answer_again(clinic: Clinic) -> None:
    order, recipient, key = await clinic.order(), await clinic.recipient(), unique()
    first = await clinic.refer(order, recipient, headers={"Idempotency-Key": key})
    again = await clinic.refer(order, recipient, headers={"Idempotency-Key": key})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert len(await clinic.found(f"Task?focus=ServiceRequest/{order['id']}")) == 1


async def test_a_key_is_for_one_request_only(clinic: Clinic) -> None:
    order, recipient, key = await clinic.order(), await clinic.recipient(), {"Idempotency-Key": unique()}
    assert (await clinic.refer(order, recipient, headers=key)).status_code == 201
    other = await clinic.refer(order, recipient, note="More", headers=key)
    assert other.status_code == 422
    assert codes_of(other.json()) == ["idempotency-key-reused"]
    elsewhere = await clinic.refer(await clinic.order(), recipient, headers=key)
    assert elsewhere.status_code == 422


async def test_a_key_of_a_refused_request_is_free(clinic: Clinic) -> None:
    order, key = await clinic.order(), {"Idempotency-Key": unique()}
    missing: Any = {"resourceType": "Organization", "id": unique()}
    assert (await clinic.refer(order, missing, headers=key)).status_code == 422
    assert (await clinic.refer(order, await clinic.recipient(), headers=key)).status_code == 201


async def test_a_key_of_a_dry_run_is_free(clinic: Clinic) -> None:
    order, recipient, key = await clinic.order(), await clinic.recipient(), {"Idempotency-Key": unique()}
    assert (await clinic.refer(order, recipient, dryRun=True, headers=key)).status_code == 200
    assert (await clinic.refer(order, recipient, headers=key)).status_code == 201


async def test_callers_have_keys_of_their_own(clinic: Clinic) -> None:
    one, other = await clinic.organization(), await clinic.organization()
    recipient, key = await clinic.recipient(), unique()
    for actor in (one, other):
        order = await clinic.order(requester=reference(actor))
        headers = {"Idempotency-Key": key, ACTOR: f"Organization/{actor['id']}"}
        assert (await clinic.refer(order, recipient, headers=headers)).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
async def test_a_key_must_be_printable_and_short(clinic: Clinic, key: str) -> None:
    answer = await clinic.refer(await clinic.order(), await clinic.recipient(), headers={"Idempotency-Key": key})
    assert answer.status_code == 400


async def test_two_at_once_with_one_key_make_one_referral(clinic: Clinic) -> None:
    order, recipient, key = await clinic.order(), await clinic.recipient(), {"Idempotency-Key": unique()}
    answers = await asyncio.gather(*(clinic.refer(order, recipient, headers=key) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.text for answer in answers}) == 1
    assert len(await clinic.found(f"Task?focus=ServiceRequest/{order['id']}")) == 1
