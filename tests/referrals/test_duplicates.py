"""What counts as a duplicate, how sure it is and why: `$check-duplicate`, and the same check before a referral."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.fhir.json import loads
from app.fhir.referrals.duplicates import RULES, Asked, Grade, likeness
from app.fhir.validation import check
from tests.support.factories import concept, identifier, observation, reference, service_request, unique
from tests.support.referrals import SDOHCC, Clinic, Json, codes_of, parameters

ACTOR = "X-CareLoop-Actor"
GRADE = "http://hl7.org/fhir/StructureDefinition/match-grade"


@pytest.fixture
def clinic(client: httpx.AsyncClient) -> Clinic:
    return Clinic(client)


async def check_duplicate(clinic: Clinic, order: Json, headers: Json | None = None, **given: Any) -> Json:
    answer = await clinic.http.post(
        f"ServiceRequest/{order['id']}/$check-duplicate", json=parameters(**given), headers=headers or {}
    )
    assert answer.status_code == 200, answer.text
    check(loads(answer.content), "Bundle")
    return dict(answer.json())


def told(bundle: Json) -> dict[str, tuple[str, float, list[str]]]:
    """By reference: grade, score and reasons."""
    found = {}
    for entry in bundle.get("entry", ()):
        if entry["search"]["mode"] == "match":
            said = entry["search"]["extension"]
            (grade,) = [each["valueCode"] for each in said if each["url"] == GRADE]
            reasons = [each["valueCode"] for each in said if each["url"].endswith("/duplicate-reason")]
            resource = entry["resource"]
            assert entry["fullUrl"].endswith(f"{resource['resourceType']}/{resource['id']}")
            found[f"{resource['resourceType']}/{resource['id']}"] = (grade, entry["search"]["score"], reasons)
    return found


class Client:
    """A client with orders of one code and one category."""

    def __init__(self, clinic: Clinic, subject: Json) -> None:
        self.clinic = clinic
        self.subject = subject
        self.code, self.category = concept(unique()), [concept(unique())]

    async def order(self, **elements: Any) -> Json:
        wanted = {"code": self.code, "category": self.category} | elements
        return await self.clinic.order(subject=self.subject, **wanted)


@pytest.fixture
async def one(clinic: Clinic) -> Client:
    return Client(clinic, reference(await clinic.client_()))


def name(resource: Json) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


async def test_nothing_alike_is_an_empty_searchset(clinic: Clinic, one: Client) -> None:
    bundle = await check_duplicate(clinic, await one.order())
    assert (bundle["type"], bundle["total"]) == ("searchset", 0)
    assert "entry" not in bundle
    assert bundle["link"][0]["relation"] == "self"


@pytest.mark.parametrize("status", ["draft", "active", "on-hold"])
async def test_the_same_code_is_probable_while_it_is_open(clinic: Clinic, one: Client, status: str) -> None:
    other, order = await one.order(status=status), await one.order()
    assert told(await check_duplicate(clinic, order)) == {name(other): ("probable", 0.8, ["same-code"])}


@pytest.mark.parametrize("status", ["revoked", "entered-in-error", "unknown"])
async def test_what_is_over_does_not_count(clinic: Clinic, one: Client, status: str) -> None:
    await one.order(status=status)
    assert told(await check_duplicate(clinic, await one.order())) == {}


async def test_another_client_does_not_count(clinic: Clinic, one: Client) -> None:
    await clinic.order(code=one.code, category=one.category)
    assert told(await check_duplicate(clinic, await one.order())) == {}


async def test_another_code_of_the_same_category_is_possible(clinic: Clinic, one: Client) -> None:
    other, order = await one.order(code=concept(unique())), await one.order()
    assert told(await check_duplicate(clinic, order)) == {name(other): ("possible", 0.5, ["same-category"])}


async def test_the_threshold_leaves_the_lesser_grades_out(clinic: Clinic, one: Client) -> None:
    possible, probable = await one.order(code=concept(unique())), await one.order()
    order = await one.order()
    assert list(told(await check_duplicate(clinic, order))) == [name(probable), name(possible)]
    assert list(told(await check_duplicate(clinic, order, threshold="probable"))) == [name(probable)]
    assert list(told(await check_duplicate(clinic, order, threshold="certain"))) == []


async def test_the_same_performer_makes_it_certain(clinic: Clinic, one: Client) -> None:
    performer, another = await clinic.recipient(), await clinic.recipient()
    same = await one.order(performer=[reference(performer)])
    other = await one.order(performer=[reference(another)])
    order = await one.order(performer=[{"reference": f"{clinic.base}/{name(performer)}"}])
    assert told(await check_duplicate(clinic, order)) == {
        name(same): ("certain", 1, ["same-code", "same-performer"]),
        name(other): ("probable", 0.8, ["same-code", "other-performer"]),
    }


async def test_who_has_an_open_task_is_a_performer(clinic: Clinic, one: Client) -> None:
    recipient = await clinic.recipient()
    other, order = await one.order(), await one.order()
    await clinic.referred(other, recipient, overrideDuplicate=True, overrideReason="A test")
    found = told(await check_duplicate(clinic, order, recipient=reference(recipient)))
    assert found[name(other)][0] == "certain"
    found = told(await check_duplicate(clinic, order, recipient=reference(await clinic.recipient())))
    assert found[name(other)][0] == "probable"


async def test_the_same_identifier_is_certain_whatever_else(clinic: Clinic, one: Client) -> None:
    number = identifier(unique())
    other = await one.order(identifier=[number], code=concept(unique()), category=None, status="completed")
    order = await one.order(identifier=[number])
    assert told(await check_duplicate(clinic, order)) == {name(other): ("certain", 1, ["same-identifier"])}


async def test_a_completed_order_counts_for_a_while(clinic: Clinic, one: Client) -> None:
    other, order = await one.order(status="completed"), await one.order()
    expected = {name(other): ("probable", 0.8, ["same-code", "recently-completed"])}
    assert told(await check_duplicate(clinic, order)) == expected
    assert told(await check_duplicate(clinic, order, window=0)) == {}


async def test_a_code_may_be_a_text(clinic: Clinic, one: Client) -> None:
    other = await one.order(code={"text": "Meals on wheels"})
    await one.order(code={"text": "Respite care"}, category=None)
    order = await one.order(code={"text": "MEALS on wheels "}, category=None)
    assert told(await check_duplicate(clinic, order)) == {name(other): ("probable", 0.8, ["same-code"])}


async def test_codes_with_marks_of_their_own_are_found(clinic: Clinic, one: Client) -> None:
    code = concept(f"a,b|c$d\\{unique()}", "https://example.org/odd|system")
    other, order = await one.order(code=code, category=None), await one.order(code=code, category=None)
    assert list(told(await check_duplicate(clinic, order))) == [name(other)]


@pytest.mark.parametrize("link", ["basedOn", "replaces"])
async def test_what_was_made_for_an_order_is_no_duplicate_of_it(clinic: Clinic, one: Client, link: str) -> None:
    first = await one.order()
    second = await one.order(**{link: [reference(first)]})
    assert told(await check_duplicate(clinic, first)) == {}
    assert told(await check_duplicate(clinic, second)) == {}


async def enrollment(clinic: Clinic, one: Client, service: Json, said: str, on: str, **elements: Any) -> Json:
    return await clinic.put(
        observation(
            one.subject["reference"],
            category=[concept("program-enrollment", SDOHCC)],
            focus=[reference(service)],
            valueQuantity=None,
            valueCodeableConcept=concept(said, SDOHCC),
            effectiveDateTime=on,
            **elements,
        )
    )


async def test_who_is_enrolled_already_is_a_probable_duplicate(clinic: Clinic, one: Client) -> None:
    service = await clinic.put({"resourceType": "HealthcareService"})
    await enrollment(clinic, one, service, "not-enrolled", "2026-01-01")
    now = await enrollment(clinic, one, service, "enrolled", "2026-05-01")
    await enrollment(clinic, one, service, "not-enrolled", "2026-06-01", status="entered-in-error")
    order = await one.order()
    found = told(await check_duplicate(clinic, order, recipient=reference(service)))
    assert found == {name(now): ("probable", 0.8, ["enrolled"])}
    answer = await clinic.refer(order, service)
    assert answer.status_code == 409
    assert answer.json()["issue"][0]["diagnostics"] == name(now)


async def test_who_has_left_a_program_is_not_enrolled(clinic: Clinic, one: Client) -> None:
    service = await clinic.put({"resourceType": "HealthcareService"})
    await enrollment(clinic, one, service, "enrolled", "2026-01-01")
    await enrollment(clinic, one, service, "not-enrolled", "2026-05-01")
    assert told(await check_duplicate(clinic, await one.order(), recipient=reference(service))) == {}


# Other organizations


async def test_another_organizations_order_is_not_told_to_an_actor(clinic: Clinic, one: Client) -> None:
    ours, theirs = await clinic.organization(), await clinic.organization()
    hidden = await one.order(requester=reference(theirs))
    order = await one.order(requester=reference(ours))
    headers = {ACTOR: name(ours)}
    bundle = await check_duplicate(clinic, order, headers)
    assert told(bundle) == {}
    (entry,) = bundle["entry"]
    assert entry["search"]["mode"] == "outcome"
    assert codes_of(entry["resource"]) == ["possible-duplicate"]
    answer = await clinic.refer(order, await clinic.recipient(), headers=headers)
    assert answer.status_code == 409
    assert codes_of(answer.json()) == ["possible-duplicate"]
    assert hidden["id"] not in answer.text + str(bundle)


async def test_an_actor_is_told_of_orders_it_takes_part_in(clinic: Clinic, one: Client) -> None:
    ours, theirs = await clinic.recipient(), await clinic.organization()
    asked = await one.order(requester=reference(theirs), performer=[reference(ours)])
    own = await one.order(requester=reference(ours))
    order = await one.order(requester=reference(ours))
    assert set(told(await check_duplicate(clinic, order, {ACTOR: name(ours)}))) == {name(asked), name(own)}


# How it is asked


async def test_an_order_that_is_not_stored_can_be_checked(clinic: Clinic, one: Client) -> None:
    other = await one.order()
    draft = service_request(one.subject["reference"], code=one.code, status="draft")
    for body in (draft, parameters(resource=draft)):
        answer = await clinic.http.post("ServiceRequest/$check-duplicate", json=body)
        assert answer.status_code == 200, answer.text
        assert told(answer.json()) == {name(other): ("probable", 0.8, ["same-code"])}
    assert answer.json()["link"][0]["url"] == f"{clinic.base}/ServiceRequest/$check-duplicate"


async def test_it_can_be_asked_with_get(clinic: Clinic, one: Client) -> None:
    other, order = await one.order(), await one.order()
    await one.order(status="completed")
    query = "window=0&threshold=probable"
    bundle = await clinic.read(f"ServiceRequest/{order['id']}/$check-duplicate?{query}")
    assert list(told(bundle)) == [name(other)]


@pytest.mark.parametrize(
    "query",
    [
        "window=-1",
        "window=x",
        "window=1.5",
        "threshold=sure",
        "recipient=Organization/1",
        "nothing=1",
        "window=99999999",
    ],
)
async def test_what_cannot_be_understood_is_refused(clinic: Clinic, one: Client, query: str) -> None:
    order = await one.order()
    answer = await clinic.http.get(f"ServiceRequest/{order['id']}/$check-duplicate?{query}")
    assert answer.status_code == 400
    assert answer.json()["issue"]


async def test_the_order_stands_in_the_url_or_in_the_body(clinic: Clinic, one: Client) -> None:
    order = await one.order()
    draft = service_request(one.subject["reference"])
    answer = await clinic.http.post(f"ServiceRequest/{order['id']}/$check-duplicate", json=parameters(resource=draft))
    assert answer.status_code == 400
    assert (await clinic.http.post("ServiceRequest/$check-duplicate", json=parameters())).status_code == 400
    wrong = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": {"resourceType": "Patient"}}]}
    assert (await clinic.http.post("ServiceRequest/$check-duplicate", json=wrong)).status_code == 400
    broken = service_request(one.subject["reference"], status="lost")
    assert (await clinic.http.post("ServiceRequest/$check-duplicate", json=broken)).status_code == 400


async def test_orders_that_are_not_there(clinic: Clinic) -> None:
    assert (await clinic.http.get(f"ServiceRequest/{unique()}/$check-duplicate")).status_code == 404
    order = await clinic.order()
    await clinic.http.delete(f"ServiceRequest/{order['id']}")
    assert (await clinic.http.get(f"ServiceRequest/{order['id']}/$check-duplicate")).status_code == 410


async def test_it_works_in_a_bundle(clinic: Clinic, one: Client) -> None:
    other, order = await one.order(), await one.order()
    entry = {"request": {"method": "GET", "url": f"ServiceRequest/{order['id']}/$check-duplicate"}}
    for kind in ("batch", "transaction"):
        answer = await clinic.http.post("", json={"resourceType": "Bundle", "type": kind, "entry": [entry]})
        assert list(told(answer.json()["entry"][0]["resource"])) == [name(other)]


async def test_a_possible_duplicate_does_not_stop_a_referral(clinic: Clinic, one: Client) -> None:
    await one.order(code=concept(unique()))
    await clinic.referred(await one.order(), await clinic.recipient())


# The rules


def test_every_rule_needs_the_reasons_that_it_tells() -> None:
    empty = frozenset[Any]()
    same = frozenset({("s", "c")})
    both = Asked(empty, same, same, frozenset({"Organization/1"}), is_open=True)
    assert [grade for grade, _ in RULES] == sorted((grade for grade, _ in RULES), key=lambda each: -each.score)
    found = likeness(both, both)
    assert found is not None
    assert found.grade is Grade.CERTAIN
    assert likeness(both, Asked(empty, empty, empty, frozenset({"Organization/1"}), is_open=True)) is None
    assert likeness(Asked(empty, empty, empty, empty, is_open=True), both) is None


def test_scores_fall_with_the_grades() -> None:
    assert [grade.score for grade in Grade] == sorted((grade.score for grade in Grade), reverse=True)
