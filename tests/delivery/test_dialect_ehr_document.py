"""ehr-document: a note in the right chart, a message about it, each once; never a note in a chart that was guessed."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest

from app.delivery.dialects import ehr_document
from app.delivery.dialects.base import InDoubt, NotSent, Receipt, Refused, Unresolvable, Unsuitable
from app.delivery.dialects.letter import letter
from app.delivery.dialects.safety import WARNING
from app.fhir import validation
from app.fhir.types import Json
from tests.support.packages import (
    ADDRESS,
    BASE,
    FLAG,
    MESSAGE,
    PATIENT,
    PLACER,
    Endpoint,
    Sent,
    abort_package,
    answer,
    created,
    package,
    searchset,
)

THEIR = {"resourceType": "Patient", "id": "theirs", "identifier": PATIENT["identifier"]}
MATCHES = {
    "resourceType": "CapabilityStatement",
    "rest": [{"mode": "server", "resource": [{"type": "Patient", "operation": [{"name": "match"}]}]}],
}


def note(**elements: Any) -> Json:
    held = [{"system": PLACER[0], "value": PLACER[1]}]
    return {"resourceType": "DocumentReference", "id": "d1", "identifier": held, **elements}


def ehr(**script: Any) -> Endpoint:
    """Knows the client and takes both; `script` replaces answers, with `_` for the blank."""
    usual: dict[str, Any] = {
        "GET Patient": [searchset(THEIR)],
        "POST DocumentReference": [created("d1")],
        "POST Communication": [created("m1")],
    }
    return Endpoint(usual | {name.replace("_", " ", 1): steps for name, steps in script.items()})


async def submit(endpoint: Endpoint, *, in_doubt: bool = False, **changes: Any) -> Receipt:
    return await ehr_document.deliver(package(**changes), endpoint, in_doubt=in_doubt)


def read(document: Json) -> str:
    return b64decode(document["content"][0]["attachment"]["data"]).decode()


async def test_the_note_goes_into_the_chart_and_a_message_tells_of_it():
    endpoint = ehr()
    receipt = await submit(endpoint)
    assert endpoint.lines == ["GET Patient", "POST DocumentReference", "POST Communication"]
    assert endpoint.sent[0].query == [("identifier", "https://clinic.example/mrn|MRN-77")]
    document, message = endpoint.sent[1], endpoint.sent[2]
    for sent in (document, message):
        assert sent.headers["if-none-exist"] == f"identifier={PLACER[0]}|{PLACER[1]}"
        assert sent.body["identifier"][0]["value"] == PLACER[1]
        assert sent.body["subject"] == {"reference": "Patient/theirs"}
        validation.check(sent.body)
    assert document.body["type"]["coding"][0] == {
        "system": "http://loinc.org",
        "code": "57133-1",
        "display": "Referral note",
    }
    assert message.body["about"] == [{"reference": "DocumentReference/d1"}]
    assert message.body["basedOn"][0]["identifier"]["value"] == f"{BASE}/ServiceRequest/sr1"
    assert "accept" in message.body["payload"][0]["contentString"]
    assert receipt == Receipt(remote=f"{ADDRESS}/DocumentReference/d1")


async def test_the_note_has_what_us_core_demands():
    endpoint = ehr()
    await submit(endpoint)
    document = endpoint.sent[1].body
    assert {"status", "type", "category", "subject", "content"} <= document.keys()
    category = document["category"][0]["coding"][0]
    assert category["system"] == "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category"
    assert category["code"] == "clinical-note"
    attachment = document["content"][0]["attachment"]
    assert attachment["contentType"].startswith("text/plain")
    assert attachment["data"]


async def test_the_letter_says_who_what_why_for_whom_and_whom_to_answer():
    text = letter(package())
    for words in (
        "Ada June Moreau",
        "born 1984-06-12",
        "MRN-77",
        "home phone 555-0147",
        "12 Harbour Road, 74047, Mounds, OK",
        "Assistance with application for food pantry program",
        "Food insecurity",
        "urgent",
        "until 2026-04-01",
        "Pantry & Delivery",
        "Better Health Clinic",
        "work phone 555-1000",
        "Please be quick.",
        PLACER[1],
    ):
        assert f"  {words}" in text or words in text, words
    assert "Former" not in text


async def test_a_social_security_number_is_in_no_url_and_no_letter():
    number = {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "123-45-6789"}
    endpoint = ehr()
    await submit(endpoint, resources={"Patient/p1": PATIENT | {"identifier": [number, *PATIENT["identifier"]]}})
    assert [sent.query for sent in endpoint.sent if sent.query] == [
        [("identifier", "https://clinic.example/mrn|MRN-77")]
    ]
    assert "123-45" not in read(endpoint.sent[1].body)


def test_a_note_cannot_pass_for_a_heading():
    text = letter(package(request={"note": [{"text": "fine\n\nAnswer to\nnobody\r\nReference"}]}))
    headings = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert headings.count("Answer to") == 1
    assert headings.count("Reference") == 1


async def test_under_the_safety_flag_the_warning_comes_first_and_no_way_to_reach_the_client():
    endpoint = ehr()
    await submit(endpoint, request={"orderDetail": [FLAG]})
    text = read(endpoint.sent[1].body)
    assert text.splitlines()[2] == WARNING
    assert "555-0147" not in text
    assert "Harbour Road" not in text
    assert "555-1000" in text
    assert endpoint.sent[2].body["payload"][0]["contentString"].startswith(WARNING)


async def test_a_bare_referral_still_makes_a_letter():
    bare = {"code": None, "category": None, "reasonReference": None, "requester": None, "note": None}
    thin = {"requester": None, "owner": None, "note": None, "input": None, "restriction": None, "priority": None}
    endpoint = ehr()
    await submit(endpoint, request=bare, task=thin)
    validation.check(endpoint.sent[1].body)
    validation.check(endpoint.sent[2].body)
    text = read(endpoint.sent[1].body)
    assert "routine" in text
    assert "When" not in text
    assert "Need" not in text


# Whose chart


@pytest.mark.parametrize(
    "strangers",
    [
        [],
        [THEIR, {**THEIR, "id": "another"}],
        [{**THEIR, "active": False}],
        [{**THEIR, "link": [{"other": {"reference": "Patient/new"}, "type": "replaced-by"}]}],
    ],
)
async def test_without_exactly_one_chart_nothing_is_written(strangers: list[Json]):
    endpoint = ehr(GET_Patient=[searchset(*strangers)], GET_metadata=[answer(404)])
    with pytest.raises(Unsuitable):
        await submit(endpoint)
    assert not [line for line in endpoint.lines if line.startswith("POST")]


async def test_a_search_that_passes_over_the_identifier_finds_nobody():
    stranger = {"resourceType": "Patient", "id": "x", "identifier": [{"system": "s", "value": "v"}]}
    endpoint = ehr(GET_Patient=[searchset(stranger)])
    with pytest.raises(Unresolvable):
        await submit(endpoint)
    assert endpoint.lines == ["GET Patient"]


async def test_all_identifiers_have_to_lead_to_the_same_chart():
    patient = PATIENT | {"identifier": [*PATIENT["identifier"], {"system": "https://state.example", "value": "9"}]}
    same = [{**THEIR, "identifier": patient["identifier"]}]
    endpoint = ehr(GET_Patient=[searchset(*same)])
    await submit(endpoint, resources={"Patient/p1": patient})
    assert endpoint.lines[:3] == ["GET Patient", "GET Patient", "POST DocumentReference"]
    other = {"resourceType": "Patient", "id": "other", "identifier": patient["identifier"][1:]}
    split = ehr(GET_Patient=[searchset(THEIR), searchset(other)])
    with pytest.raises(Unsuitable) as caught:
        await submit(split, resources={"Patient/p1": patient})
    assert caught.value.code == "patient-not-unique"


def matched(grade: str | None, id_: str = "theirs") -> Json:
    url = "http://hl7.org/fhir/StructureDefinition/match-grade"
    found = {"mode": "match", "score": 0.99} | ({"extension": [{"url": url, "valueCode": grade}]} if grade else {})
    return {"resource": {"resourceType": "Patient", "id": id_}, "search": found}


@pytest.mark.parametrize(
    ("entries", "delivered"),
    [
        ([matched("certain")], True),
        ([matched("certain"), matched("possible", "other")], True),
        ([matched("probable")], False),
        ([matched(None)], False),
        ([matched("certain"), matched("certain", "other")], False),
        ([], False),
    ],
)
async def test_a_match_counts_only_when_the_receiver_is_certain(entries: list[Json], delivered: bool):
    def match(sent: Sent) -> Any:
        validation.check(sent.body, "Parameters")
        assert sent.body["parameter"][1] == {"name": "onlyCertainMatches", "valueBoolean": True}
        assert sent.body["parameter"][0]["resource"]["birthDate"] == PATIENT["birthDate"]
        return answer(200, {"resourceType": "Bundle", "type": "searchset", "entry": entries})

    endpoint = ehr(GET_Patient=[searchset()], GET_metadata=[answer(200, MATCHES)], **{"POST_Patient/$match": [match]})
    if delivered:
        await submit(endpoint)
        assert endpoint.only("POST DocumentReference").body["subject"] == {"reference": "Patient/theirs"}
    else:
        with pytest.raises(Unsuitable):
            await submit(endpoint)


async def test_a_match_that_cannot_be_asked_for_now_is_tried_again():
    busy = ehr(GET_Patient=[searchset()], GET_metadata=[answer(503)])
    with pytest.raises(NotSent):
        await submit(busy)
    throttled = ehr(
        GET_Patient=[searchset()], GET_metadata=[answer(200, MATCHES)], **{"POST_Patient/$match": [answer(429)]}
    )
    with pytest.raises(Refused):
        await submit(throttled)


async def test_a_group_has_no_chart():
    with pytest.raises(Unsuitable):
        await submit(ehr(), request={"subject": {"reference": "Group/g"}})


@pytest.mark.parametrize("trouble", [InDoubt("slow"), answer(503)])
async def test_looking_for_the_chart_leaves_no_doubt(trouble: Any):
    with pytest.raises(NotSent):
        await submit(ehr(GET_Patient=[trouble]))


# Once, whatever happens


async def test_in_doubt_both_are_looked_for():
    message = {"resourceType": "Communication", "id": "m1", "identifier": note()["identifier"]}
    endpoint = ehr(GET_DocumentReference=[searchset(note())], GET_Communication=[searchset(message)])
    receipt = await submit(endpoint, in_doubt=True)
    assert endpoint.lines == ["GET Patient", "GET DocumentReference", "GET Communication"]
    assert receipt.found


async def test_in_doubt_only_what_is_missing_is_sent():
    endpoint = ehr(GET_DocumentReference=[searchset(note())], GET_Communication=[searchset()])
    await submit(endpoint, in_doubt=True)
    assert "POST DocumentReference" not in endpoint.lines
    assert endpoint.only("POST Communication").body["about"] == [{"reference": "DocumentReference/d1"}]


async def test_in_doubt_a_receiver_that_cannot_be_asked_gets_nothing_more():
    endpoint = ehr(GET_DocumentReference=[answer(400)])
    with pytest.raises(Unresolvable):
        await submit(endpoint, in_doubt=True)
    assert not [line for line in endpoint.lines if line.startswith("POST")]


@pytest.mark.parametrize("trouble", [answer(401), answer(429), answer(503), NotSent("down"), InDoubt("slow")])
async def test_once_the_note_has_arrived_a_failed_message_leaves_a_doubt(trouble: Any):
    with pytest.raises(InDoubt):
        await submit(ehr(POST_Communication=[trouble]))


@pytest.mark.parametrize("status", [400, 403, 404, 405, 422, 501])
async def test_a_receiver_without_messages_has_the_note(status: int):
    receipt = await submit(ehr(POST_Communication=[answer(status)]))
    assert receipt.remote == f"{ADDRESS}/DocumentReference/d1"


@pytest.mark.parametrize("status", [400, 401, 404, 422, 500])
async def test_a_refused_note_is_a_refusal_and_no_message_is_sent(status: int):
    endpoint = ehr(POST_DocumentReference=[answer(status)])
    with pytest.raises(Refused):
        await submit(endpoint)
    assert "POST Communication" not in endpoint.lines


# What comes later


async def test_a_withdrawal_is_a_note_that_appends_to_the_first():
    endpoint = ehr(POST_DocumentReference=[created("d2")])
    remote = f"{ADDRESS}/DocumentReference/d1"
    changes = {"task": {"status": "cancelled", "statusReason": {"text": "The client moved away."}}}
    receipt = await submit(endpoint, kind="cancel", remote=remote, **changes)
    document = endpoint.only("POST DocumentReference").body
    assert document["relatesTo"] == [{"code": "appends", "target": {"reference": "DocumentReference/d1"}}]
    assert document["identifier"][0]["value"] == f"urn:uuid:{MESSAGE}"
    assert read(document).startswith("REFERRAL WITHDRAWN")
    assert "The client moved away." in read(document)
    assert "disregard" in endpoint.only("POST Communication").body["payload"][0]["contentString"]
    assert receipt.remote == f"{ADDRESS}/DocumentReference/d2"
    validation.check(document)


async def test_an_abort_finds_the_first_note_by_the_referrals_identifier():
    endpoint = ehr(GET_DocumentReference=[searchset(note())], POST_DocumentReference=[created("d2")])
    await ehr_document.deliver(abort_package(), endpoint, in_doubt=False)
    assert endpoint.only("GET DocumentReference").query == [("identifier", f"{PLACER[0]}|{PLACER[1]}")]
    assert read(endpoint.only("POST DocumentReference").body).startswith("REQUEST TO STOP A REFERRAL")


async def test_what_never_arrived_need_not_be_withdrawn():
    endpoint = ehr(GET_DocumentReference=[searchset()])
    assert await submit(endpoint, kind="cancel") == Receipt()
    assert not [line for line in endpoint.lines if line.startswith("POST")]
