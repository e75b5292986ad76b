"""`ServiceRequest/{id}/$refer`: what it refuses, with which status and code, and that a refusal changes nothing."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.support.factories import concept, identifier, reference, service_request, unique
from tests.support.referrals import Clinic, Json, codes_of, parameters, tasks_of, warnings_of

ACTOR = "X-CareLoop-Actor"
CAPACITY = (
    "http://hl7.org/fhir/us/sdoh-clinicalcare/StructureDefinition/SDOHCC-ExtensionHealthcareServiceCapacityStatus"
)
SDOHCC = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"


@pytest.fixture
def clinic(client: httpx.AsyncClient) -> Clinic:
    return Clinic(client)


def issues_of(answer: httpx.Response, status: int) -> list[Json]:
    assert answer.status_code == status, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"
    issues: list[Json] = answer.json()["issue"]
    assert all(issue["severity"] == "error" and issue["diagnostics"] for issue in issues)
    return issues


def refusals(answer: httpx.Response, status: int, issue_code: str) -> list[str]:
    assert {issue["code"] for issue in issues_of(answer, status)} == {issue_code}
    return codes_of(answer.json())


async def unchanged(clinic: Clinic, order: Json) -> None:
    assert await clinic.read(f"ServiceRequest/{order['id']}") == order
    assert await clinic.found(f"Provenance?target=ServiceRequest/{order['id']}") == []


# 400


async def refused_body(clinic: Clinic, body: Any, query: str = "") -> list[Json]:
    order = await clinic.order(status="draft")
    headers = {"Content-Type": "application/fhir+json"}
    answer = await clinic.http.post(f"ServiceRequest/{order['id']}/$refer{query}", json=body, headers=headers)
    issues = issues_of(answer, 400)
    await unchanged(clinic, order)
    return issues


async def test_every_problem_of_the_parameters_is_named(clinic: Clinic) -> None:
    issues = await refused_body(
        clinic,
        {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "recipient", "valueReference": {"reference": "Patient/1"}},
                {"name": "strategy", "valueCode": "everybody"},
                {"name": "priority", "valueString": "urgent"},
                {"name": "period", "valuePeriod": {"start": "2026-12-02", "end": "2026-12-01"}},
                {"name": "note", "valueString": "a"},
                {"name": "note", "valueString": "b"},
                {"name": "overrideDuplicate", "valueBoolean": True},
                {"name": "speed", "valueInteger": 3},
                {"name": "dryRun", "valueBoolean": "yes"},
            ],
        },
    )
    places = {expression for issue in issues for expression in issue["expression"]}
    for number in (0, 1, 2, 3, 5, 6, 7, 8):
        assert any(place.startswith(f"Parameters.parameter[{number}]") for place in places), number
    assert not any(place.startswith("Parameters.parameter[4]") for place in places)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "recipient", "valueString": "Organization/1"},
        {"name": "recipient", "valueReference": {"reference": "Practitioner/1"}},
        {"name": "recipient", "valueReference": {"display": "Somebody"}},
        {"name": "recipient", "valueReference": {"identifier": {"value": "1"}}},
        {"name": "recipient", "valueReference": {"reference": "#me"}},
        {"name": "recipient"},
        {"name": "strategy", "valueCode": "first-accept"},
        {"name": "endpoint", "valueReference": {"reference": "Organization/1"}},
        {"name": "priority", "valueCode": "soon"},
        {"name": "period", "valuePeriod": {"end": "tomorrow"}},
        {"name": "period", "valueDate": "2026-12-01"},
        {"name": "input", "valueString": "a letter"},
        {"name": "consent", "valueReference": {"reference": "Observation/1"}},
        {"name": "overrideDuplicate", "valueBoolean": True},
        {"name": "overrideReason", "valueString": "It is another matter."},
        {"name": "note", "valueInteger": 1},
        {"name": "dryRun", "valueCode": "true"},
        {"name": "nobody", "valueCode": "true"},
        {"name": "note", "part": [{"name": "a", "valueString": "b"}]},
        {"name": "note", "resource": {"resourceType": "Patient"}},
    ],
)
async def test_unknown_and_ill_typed_parameters_are_refused(clinic: Clinic, wrong: Json) -> None:
    right = {"name": "recipient", "valueReference": {"reference": "Organization/1"}}
    listed = [wrong] if wrong["name"] == "recipient" else [right, wrong]
    await refused_body(clinic, {"resourceType": "Parameters", "parameter": listed})


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "Parameters"},
        {"resourceType": "Parameters", "parameter": {}},
        {"resourceType": "Parameters", "parameter": [None, 1, {"valueString": "a"}]},
        {"resourceType": "Patient"},
        [],
        "recipient",
    ],
)
async def test_a_body_that_names_no_recipient_is_refused(clinic: Clinic, body: Any) -> None:
    await refused_body(clinic, body)


async def test_no_body_is_refused(clinic: Clinic) -> None:
    order = await clinic.order()
    answer = await clinic.http.post(f"ServiceRequest/{order['id']}/$refer")
    (issue,) = issues_of(answer, 400)
    assert "recipient" in issue["diagnostics"]


async def test_parameters_are_not_taken_from_the_url(clinic: Clinic) -> None:
    body = parameters([("recipient", {"reference": "Organization/1"})])
    (issue,) = await refused_body(clinic, body, "?dryRun=true")
    assert issue["code"] == "not-supported"


async def test_single_takes_one_recipient(clinic: Clinic) -> None:
    order = await clinic.order()
    answer = await clinic.refer(order, await clinic.recipient(), await clinic.recipient())
    (issue,) = issues_of(answer, 400)
    assert "single" in issue["diagnostics"]


@pytest.mark.parametrize("absolute", [False, True])
async def test_nobody_is_asked_twice_in_one_request(clinic: Clinic, absolute: bool) -> None:
    order, recipient = await clinic.order(), await clinic.recipient()
    again = reference(recipient)
    if absolute:
        again = {"reference": f"{clinic.base}/{again['reference']}"}
    body = parameters([("recipient", reference(recipient)), ("recipient", again)], strategy="parallel")
    answer = await clinic.http.post(f"ServiceRequest/{order['id']}/$refer", json=body)
    issues_of(answer, 400)


# 404, 405, 410


async def test_an_order_that_is_not_there(clinic: Clinic) -> None:
    answer = await clinic.refer({"id": unique()}, await clinic.recipient())
    assert refusals(answer, 404, "not-found") == []


async def test_an_order_that_was_deleted(clinic: Clinic) -> None:
    order = await clinic.order()
    assert (await clinic.http.delete(f"ServiceRequest/{order['id']}")).status_code in (200, 204)
    issues_of(await clinic.refer(order, await clinic.recipient()), 410)


async def test_it_is_asked_with_post_only(clinic: Clinic) -> None:
    order = await clinic.order()
    answer = await clinic.http.get(f"ServiceRequest/{order['id']}/$refer")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


# 409: the order


@pytest.mark.parametrize("status", ["completed", "revoked", "on-hold", "entered-in-error", "unknown"])
async def test_only_an_active_order_or_a_draft_can_be_referred(clinic: Clinic, status: str) -> None:
    order = await clinic.order(status=status)
    answer = await clinic.refer(order, await clinic.recipient())
    assert refusals(answer, 409, "business-rule") == ["servicerequest-not-active"]
    await unchanged(clinic, order)


@pytest.mark.parametrize("intent", ["proposal", "plan", "option"])
async def test_what_is_only_intended_cannot_be_referred(clinic: Clinic, intent: str) -> None:
    order = await clinic.order(status="draft", intent=intent)
    answer = await clinic.refer(order, await clinic.recipient())
    assert refusals(answer, 409, "business-rule") == ["intent-not-actionable"]
    await unchanged(clinic, order)


@pytest.mark.parametrize(
    "intent", ["order", "original-order", "reflex-order", "filler-order", "instance-order", "directive"]
)
async def test_every_other_intent_can(clinic: Clinic, intent: str) -> None:
    await clinic.referred(await clinic.order(intent=intent), await clinic.recipient())


async def test_an_order_not_to_do_something_cannot_be_referred(clinic: Clinic) -> None:
    answer = await clinic.refer(await clinic.order(doNotPerform=True), await clinic.recipient())
    assert refusals(answer, 409, "business-rule") == ["intent-not-actionable"]


@pytest.mark.parametrize(
    "state",
    [
        {"deceasedBoolean": True},
        {"deceasedDateTime": "2026-01-01"},
        {"active": False},
        {"link": [{"other": {"display": "Kept record"}, "type": "replaced-by"}]},
    ],
)
async def test_nobody_is_referred_who_has_died_or_whose_record_is_inactive(clinic: Clinic, state: Json) -> None:
    order = await clinic.order(subject=reference(await clinic.client_(**state)))
    answer = await clinic.refer(order, await clinic.recipient())
    assert refusals(answer, 409, "business-rule") == ["subject-inactive"]
    await unchanged(clinic, order)


@pytest.mark.parametrize("state", [{"deceasedBoolean": False}, {"active": True}])
async def test_who_lives_can_be_referred(clinic: Clinic, state: Json) -> None:
    order = await clinic.order(subject=reference(await clinic.client_(**state)))
    await clinic.referred(order, await clinic.recipient())


async def test_all_that_is_wrong_with_an_order_is_told(clinic: Clinic) -> None:
    subject = reference(await clinic.client_(active=False))
    order = await clinic.order(subject=subject, status="revoked", intent="plan")
    answer = await clinic.refer(order, await clinic.recipient())
    assert set(refusals(answer, 409, "business-rule")) == {
        "servicerequest-not-active",
        "intent-not-actionable",
        "subject-inactive",
    }


# 409: open Tasks and duplicates


async def test_a_recipient_with_an_open_task_is_not_asked_again(clinic: Clinic) -> None:
    order, recipient = await clinic.order(), await clinic.recipient("light")
    (task,) = await clinic.referred(order, recipient)
    answer = await clinic.refer(order, recipient)
    assert refusals(answer, 409, "duplicate") == ["task-already-open"]
    assert answer.json()["issue"][0]["diagnostics"] == f"Task/{task['id']}"
    await clinic.patch(task, status="rejected", statusReason={"text": "Full"})
    assert (await clinic.refer(order, recipient)).status_code == 201


async def test_who_waits_in_a_sequence_has_an_open_task(clinic: Clinic) -> None:
    order, first, second = await clinic.order(), await clinic.recipient(), await clinic.recipient()
    tasks = await clinic.referred(order, first, second, strategy="sequential")
    answer = await clinic.refer(order, first, second, strategy="parallel")
    assert refusals(answer, 409, "duplicate") == ["task-already-open"] * 2
    assert [each["diagnostics"] for each in answer.json()["issue"]] == [f"Task/{task['id']}" for task in tasks]


async def test_an_override_does_not_open_a_second_task(clinic: Clinic) -> None:
    order, recipient = await clinic.order(), await clinic.recipient()
    await clinic.referred(order, recipient)
    answer = await clinic.refer(order, recipient, overrideDuplicate=True, overrideReason="Again")
    assert refusals(answer, 409, "duplicate") == ["task-already-open"]


async def test_possible_duplicates_are_named_one_by_one(clinic: Clinic) -> None:
    code, subject = concept(unique()), reference(await clinic.client_())
    others = [await clinic.order(subject=subject, code=code, status=s) for s in ("draft", "active", "on-hold")]
    order = await clinic.order(subject=subject, code=code, status="draft")
    answer = await clinic.refer(order, await clinic.recipient())
    assert refusals(answer, 409, "duplicate") == ["possible-duplicate"] * 3
    named = {each["diagnostics"] for each in answer.json()["issue"]}
    assert named == {f"ServiceRequest/{other['id']}" for other in others}
    await unchanged(clinic, order)


async def test_an_override_is_recorded_with_its_reason(clinic: Clinic) -> None:
    code, subject, requester = concept(unique()), reference(await clinic.client_()), await clinic.organization()
    await clinic.order(subject=subject, code=code)
    note = [{"text": "A note of before"}]
    order = await clinic.order(subject=subject, code=code, requester=reference(requester), note=note)
    (task,) = await clinic.referred(
        order,
        await clinic.recipient(),
        overrideDuplicate=True,
        overrideReason="Another household member needs it too.",
        headers={ACTOR: f"Organization/{requester['id']}"},
    )
    (made,) = await clinic.found(f"Provenance?target=Task/{task['id']}")
    assert made["reason"] == [{"text": "Another household member needs it too."}]
    notes = (await clinic.read(f"ServiceRequest/{order['id']}"))["note"]
    assert notes[0] == note[0]
    assert "Another household member needs it too." in notes[1]["text"]
    assert notes[1]["authorReference"] == reference(requester)


# 403


async def test_only_the_requester_may_refer_its_order(clinic: Clinic) -> None:
    order, stranger = await clinic.order(), await clinic.organization()
    answer = await clinic.refer(order, await clinic.recipient(), headers={ACTOR: f"Organization/{stranger['id']}"})
    assert refusals(answer, 403, "forbidden") == ["not-requester"]
    await unchanged(clinic, order)


async def test_an_order_of_a_person_is_of_the_organization_that_refers_it_first(clinic: Clinic) -> None:
    practitioner = await clinic.put({"resourceType": "Practitioner"})
    order = await clinic.order(requester=reference(practitioner))
    first, second = await clinic.organization(), await clinic.organization()
    (task,) = await clinic.referred(order, await clinic.recipient(), headers={ACTOR: f"Organization/{first['id']}"})
    assert task["requester"] == reference(first)
    answer = await clinic.refer(order, await clinic.recipient(), headers={ACTOR: f"Organization/{second['id']}"})
    assert refusals(answer, 403, "forbidden") == ["not-requester"]


# 422


async def test_recipients_that_do_not_exist_are_all_named(clinic: Clinic) -> None:
    order, good = await clinic.order(status="draft"), await clinic.recipient()
    missing = {"resourceType": "Organization", "id": unique()}
    deleted = await clinic.organization()
    await clinic.http.delete(f"Organization/{deleted['id']}")
    answer = await clinic.refer(order, missing, good, deleted, strategy="parallel")
    assert refusals(answer, 422, "not-found") == ["recipient-not-found"] * 2
    places = [each["expression"] for each in answer.json()["issue"]]
    assert places == [["Parameters.parameter[0]"], ["Parameters.parameter[2]"]]
    await unchanged(clinic, order)


async def test_a_recipient_of_another_server_does_not_exist_here(clinic: Clinic) -> None:
    body = parameters([("recipient", {"reference": "https://elsewhere.example/fhir/Organization/1"})])
    order = await clinic.order()
    answer = await clinic.http.post(f"ServiceRequest/{order['id']}/$refer", json=body)
    assert refusals(answer, 422, "not-found") == ["recipient-not-found"]


async def test_an_inactive_recipient_is_refused(clinic: Clinic) -> None:
    answer = await clinic.refer(await clinic.order(), await clinic.recipient(active=False))
    assert refusals(answer, 409, "business-rule") == ["recipient-inactive"]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": "suspended"},
        {"status": "off"},
        {"address": "mailto:intake@example.org"},
        {"period": {"start": "2019", "end": "2020"}},
        {"extension": [{"url": "{base}/StructureDefinition/delivery-dialect", "valueCode": "pigeon"}]},
    ],
)
async def test_an_unusable_endpoint_is_refused(clinic: Clinic, fault: Json) -> None:
    fault = {
        name: [each | {"url": each["url"].format(base=clinic.base)} for each in value] if name == "extension" else value
        for name, value in fault.items()
    }
    order, endpoint = await clinic.order(status="draft"), await clinic.endpoint(None, **fault)
    answer = await clinic.refer(order, await clinic.recipient(), endpoint=reference(endpoint))
    assert refusals(answer, 422, "not-supported") == ["endpoint-unusable"]
    await unchanged(clinic, order)


async def test_an_endpoint_that_does_not_exist_is_refused(clinic: Clinic) -> None:
    answer = await clinic.refer(
        await clinic.order(), await clinic.recipient(), endpoint={"reference": f"Endpoint/{unique()}"}
    )
    assert refusals(answer, 422, "not-supported") == ["endpoint-unusable"]


@pytest.mark.parametrize("name", ["input", "consent"])
async def test_what_is_added_must_exist(clinic: Clinic, name: str) -> None:
    kind = {"input": "Observation", "consent": "Consent"}[name]
    order = await clinic.order(status="draft")
    answer = await clinic.refer(order, await clinic.recipient(), **{name: {"reference": f"{kind}/{unique()}"}})
    assert refusals(answer, 422, "not-found") == ["reference-not-found"]
    await unchanged(clinic, order)


# Capacity


def capacity(code: str) -> list[Json]:
    return [
        {
            "url": CAPACITY,
            "extension": [{"url": "capacityStatus", "valueCodeableConcept": concept(code, SDOHCC)}],
        }
    ]


async def service(clinic: Clinic, code: str) -> Json:
    provider = await clinic.recipient()
    made = {"resourceType": "HealthcareService", "providedBy": reference(provider), "extension": capacity(code)}
    return await clinic.put(made)


async def test_a_full_service_is_referred_to_with_a_warning(clinic: Clinic) -> None:
    answer = await clinic.refer(await clinic.order(), await service(clinic, "no-capacity"))
    assert answer.status_code == 201
    assert warnings_of(answer.json()) == ["no-capacity"]
    assert len(tasks_of(answer.json())) == 1


async def test_a_full_service_is_refused_when_the_caller_is_strict(clinic: Clinic) -> None:
    order = await clinic.order(status="draft")
    full = await service(clinic, "no-capacity")
    answer = await clinic.refer(order, full, headers={"Prefer": "handling=strict"})
    assert refusals(answer, 409, "business-rule") == ["no-capacity"]
    await unchanged(clinic, order)


async def test_a_service_with_capacity_is_not_warned_of(clinic: Clinic) -> None:
    answer = await clinic.refer(
        await clinic.order(), await service(clinic, "capacity"), headers={"Prefer": "handling=strict"}
    )
    assert answer.status_code == 201
    assert warnings_of(answer.json()) == []


async def test_no_refusal_tells_anything_of_a_person(clinic: Clinic) -> None:
    subject = await clinic.client_(name=[{"family": "Zyxwvutt"}], active=False)
    order = await clinic.put(
        service_request(subject, status="draft", note=[{"text": "Zyxwvutt"}], identifier=[identifier("Zyxwvutt")])
    )
    answer = await clinic.refer(order, await clinic.recipient(), note="Zyxwvutt")
    assert answer.status_code == 409
    assert "Zyxwvutt" not in answer.text
