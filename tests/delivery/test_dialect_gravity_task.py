"""gravity-task: one Task at the receiver per referral, whatever happens on the way, and its end when ours ends."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.delivery.dialects import gravity_task
from app.delivery.dialects.base import TOO_LARGE, InDoubt, NotSent, Receipt, Refused, Unresolvable, Unsuitable
from app.delivery.dialects.safety import WARNING
from app.fhir import validation
from app.fhir.own import codes
from app.fhir.types import Json
from tests.support.packages import (
    ADDRESS,
    BASE,
    FLAG,
    MESSAGE,
    PLACER,
    TASK,
    Endpoint,
    Sent,
    abort_package,
    answer,
    changed,
    created,
    package,
    searchset,
)

REMOTE = f"{ADDRESS}/Task/77"
BY_PLACER = [("identifier", f"{PLACER[0]}|{PLACER[1]}")]


async def submit(endpoint: Endpoint, *, in_doubt: bool = False, **changes: Any) -> Receipt:
    return await gravity_task.deliver(package(**changes), endpoint, in_doubt=in_doubt)


def at_receiver(**elements: Any) -> Json:
    return changed(TASK, {"id": "77", "meta": {"versionId": "4"}, "for": {"reference": "Patient/theirs"}} | elements)


def references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for item in value for text in references(item)]
    if isinstance(value, dict):
        own = [value["reference"]] if isinstance(value.get("reference"), str) else []
        return own + [text for item in value.values() for text in references(item)]
    return []


async def test_a_task_is_posted_on_condition_of_its_placer_identifier():
    endpoint = Endpoint({"POST Task": [created("77")]})
    receipt = await submit(endpoint)
    (sent,) = endpoint.sent
    assert sent.headers["if-none-exist"] == f"identifier={PLACER[0]}|{PLACER[1]}"
    assert sent.headers["content-type"] == "application/fhir+json"
    assert sent.headers["x-request-id"] == MESSAGE
    assert sent.body["identifier"][0] == {
        "type": {"coding": [{"system": codes.IDENTIFIER_TYPE, "code": "PLAC"}]},
        "system": PLACER[0],
        "value": PLACER[1],
    }
    assert receipt == Receipt(remote=REMOTE)
    validation.check(sent.body, "Task")


async def test_every_reference_to_this_server_is_absolute_and_what_is_ours_alone_stays():
    endpoint = Endpoint({"POST Task": [created("77")]})
    await submit(endpoint)
    task = endpoint.sent[0].body
    assert task["focus"] == {"reference": f"{BASE}/ServiceRequest/sr1"}
    assert task["for"]["reference"] == f"{BASE}/Patient/p1"
    assert all(text.startswith(BASE + "/") for text in references(task))
    assert len(references(task)) == 8
    assert "id" not in task
    assert "text" not in task
    assert task["meta"].keys() == {"security", "profile"}
    assert [one["url"] for one in task["extension"]] == ["https://others.example/extension"]
    assert "from-elsewhere" not in [one["value"] for one in task["identifier"]]
    assert task["restriction"] == TASK["restriction"]


async def test_what_became_of_the_task_here_since_is_not_sent_with_the_request():
    endpoint = Endpoint({"POST Task": [created("77")]})
    late = {"status": "cancelled", "statusReason": {"text": "x"}, "businessStatus": {"text": "delivery-failed"}}
    await submit(endpoint, task=late)
    task = endpoint.sent[0].body
    assert task["status"] == "requested"
    assert not {"statusReason", "businessStatus", "lastModified", "output"} & task.keys()


async def test_the_fillers_identifiers_are_those_that_the_receiver_added():
    added = {"use": "official", "system": "https://theirs.example/tasks", "value": "T-77", "assigner": {"display": "x"}}
    endpoint = Endpoint(
        {"POST Task": [created("77", added, {"value": "x" * 2000}, {"value": 7}, {"system": "a b", "value": "1"})]}
    )
    receipt = await submit(endpoint)
    assert receipt.identifiers == (
        {
            "type": {"coding": [{"system": codes.IDENTIFIER_TYPE, "code": "FILL"}]},
            "system": "https://theirs.example/tasks",
            "value": "T-77",
        },
    )


async def test_an_answer_without_a_body_is_understood_by_its_location():
    endpoint = Endpoint({"POST Task": [answer(201, location=f"{ADDRESS}/Task/77/_history/1")]})
    assert await submit(endpoint) == Receipt(remote=REMOTE)


async def test_an_answer_that_says_nothing_is_followed_by_a_look():
    endpoint = Endpoint({"POST Task": [answer(201)], "GET Task": [searchset(at_receiver())]})
    assert (await submit(endpoint)).remote == REMOTE


async def test_what_arrived_counts_as_delivered_even_if_nobody_says_where():
    endpoint = Endpoint({"POST Task": [answer(201)], "GET Task": [NotSent("down")]})
    assert await submit(endpoint) == Receipt()


async def test_an_answer_of_200_to_the_conditional_create_means_it_was_there_already():
    endpoint = Endpoint({"POST Task": [created("77", status=200)]})
    receipt = await submit(endpoint)
    assert receipt.found
    assert receipt.remote == REMOTE


async def test_an_answer_of_202_is_not_confirmed():
    endpoint = Endpoint({"POST Task": [answer(202)]})
    receipt = await submit(endpoint)
    assert (receipt.confirmed, receipt.remote) == (False, None)


async def test_in_doubt_the_receiver_is_asked_before_anything_is_sent():
    endpoint = Endpoint({"GET Task": [searchset(at_receiver())]})
    receipt = await submit(endpoint, in_doubt=True)
    assert endpoint.lines == ["GET Task"]
    assert endpoint.sent[0].query == BY_PLACER
    assert receipt.found
    assert receipt.remote == REMOTE


async def test_in_doubt_a_receiver_that_has_nothing_gets_it_again():
    endpoint = Endpoint({"GET Task": [searchset()], "POST Task": [created("77")]})
    receipt = await submit(endpoint, in_doubt=True)
    assert endpoint.lines == ["GET Task", "POST Task"]
    assert not receipt.found


@pytest.mark.parametrize("status", [400, 403, 404, 405, 422, 501])
async def test_in_doubt_a_receiver_that_cannot_be_asked_gets_nothing_more(status: int):
    endpoint = Endpoint({"GET Task": [answer(status)]})
    with pytest.raises(Unresolvable):
        await submit(endpoint, in_doubt=True)
    assert endpoint.lines == ["GET Task"]


async def test_in_doubt_an_answer_that_passes_over_the_identifier_is_not_trusted():
    endpoint = Endpoint({"GET Task": [searchset(at_receiver(identifier=[{"system": "x", "value": "y"}]))]})
    with pytest.raises(Unresolvable):
        await submit(endpoint, in_doubt=True)
    assert endpoint.lines == ["GET Task"]


async def test_in_doubt_two_tasks_at_the_receiver_are_for_a_person():
    endpoint = Endpoint({"GET Task": [searchset(at_receiver(), at_receiver(id="78"))]})
    with pytest.raises(Unresolvable) as caught:
        await submit(endpoint, in_doubt=True)
    assert caught.value.code == "remote-duplicate"


@pytest.mark.parametrize("trouble", [answer(503), answer(200), answer(200, {"resourceType": "Task"}), InDoubt("slow")])
async def test_in_doubt_a_failed_look_sends_nothing_and_makes_no_new_doubt(trouble: Any):
    endpoint = Endpoint({"GET Task": [trouble]})
    with pytest.raises(NotSent):
        await submit(endpoint, in_doubt=True)
    assert endpoint.lines == ["GET Task"]


async def test_in_doubt_an_answer_that_is_too_large_is_not_asked_for_again():
    endpoint = Endpoint({"GET Task": [InDoubt("large", code=TOO_LARGE)]})
    with pytest.raises(Unsuitable):
        await submit(endpoint, in_doubt=True)


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 409, 412, 422, 429, 500, 503])
async def test_whatever_is_no_success_is_a_refusal_with_its_answer(status: int):
    endpoint = Endpoint({"POST Task": [answer(status, retry_after="7")]})
    with pytest.raises(Refused) as caught:
        await submit(endpoint)
    assert caught.value.answer.status == status
    assert caught.value.answer.headers == {"retry-after": "7"}


async def test_a_lost_answer_is_passed_on():
    endpoint = Endpoint({"POST Task": [InDoubt("reset")]})
    with pytest.raises(InDoubt):
        await submit(endpoint)


async def test_the_requester_is_one_that_the_profile_allows():
    endpoint = Endpoint({"POST Task": [created("77")]})
    await submit(endpoint, task={"requester": {"reference": "Practitioner/x"}})
    assert endpoint.sent[0].body["requester"] == {"reference": f"{BASE}/Organization/clinic"}
    person = {"reference": "Practitioner/x"}
    with pytest.raises(Unsuitable):
        await submit(endpoint, task={"requester": person}, request={"requester": person})


async def test_a_client_and_a_date_that_the_task_lacks_come_from_the_order():
    endpoint = Endpoint({"POST Task": [created("77")]})
    await submit(endpoint, task={"for": None, "authoredOn": None})
    task = endpoint.sent[0].body
    assert task["for"] == {"reference": f"{BASE}/Patient/p1"}
    assert task["authoredOn"] == "2026-03-01T09:00:00Z"


async def test_the_safety_flag_is_the_first_note():
    endpoint = Endpoint({"POST Task": [created("77")]})
    await submit(endpoint, request={"orderDetail": [FLAG]})
    notes = endpoint.sent[0].body["note"]
    assert [note["text"] for note in notes] == [WARNING, "Please be quick."]


# Cancelling


def cancelled(**elements: Any) -> dict[str, Any]:
    return {"kind": "cancel", "task": {"status": "cancelled", **elements}}


def scripted(remote: Json, *puts: Any, **more: Any) -> Endpoint:
    return Endpoint({"GET Task/77": [answer(200, remote, etag='W/"4"')], "PUT Task/77": list(puts), **more})


async def test_a_cancellation_writes_the_receivers_own_copy_back():
    why = {"coding": [{"system": f"{BASE}/CodeSystem/status-reason", "code": "not-selected"}]}
    remote = at_receiver(status="accepted", output=[{"type": {"text": "theirs"}, "valueString": "kept"}])
    endpoint = scripted(remote, answer(200))
    receipt = await submit(endpoint, remote=REMOTE, **cancelled(statusReason=why))
    put = endpoint.only("PUT Task/77")
    assert put.headers["if-match"] == 'W/"4"'
    assert put.body["status"] == "cancelled"
    assert put.body["statusReason"] == {**why, "text": "not-selected"}
    assert put.body["id"] == "77"
    assert put.body["for"] == {"reference": "Patient/theirs"}
    assert put.body["output"][0]["valueString"] == "kept"
    assert receipt.remote == REMOTE
    validation.check(put.body, "Task")


@pytest.mark.parametrize("remote", [None, "https://elsewhere.example/Task/5", f"{ADDRESS}/Task/../secret"])
async def test_a_cancellation_finds_the_task_where_it_is_not_known(remote: str | None):
    endpoint = scripted(at_receiver(), answer(200))
    endpoint.script["GET Task"] = [searchset(at_receiver())]
    await submit(endpoint, remote=remote, **cancelled())
    assert endpoint.lines == ["GET Task", "GET Task/77", "PUT Task/77"]


async def test_what_never_arrived_need_not_be_cancelled():
    endpoint = Endpoint({"GET Task": [searchset()]})
    assert await submit(endpoint, **cancelled()) == Receipt()
    gone = Endpoint({"GET Task/77": [answer(410)]})
    assert await submit(gone, remote=REMOTE, **cancelled()) == Receipt()


@pytest.mark.parametrize("status", ["completed", "rejected", "failed", "cancelled", "entered-in-error"])
async def test_a_task_that_has_ended_there_stays_as_it_is(status: str):
    endpoint = scripted(at_receiver(status=status))
    assert await submit(endpoint, remote=REMOTE, **cancelled()) == Receipt(remote=REMOTE)
    assert endpoint.lines == ["GET Task/77"]


async def test_a_task_that_is_under_way_there_is_asked_to_stop():
    endpoint = scripted(at_receiver(status="in-progress"), **{"POST Task": [created("99")]})
    receipt = await submit(endpoint, remote=REMOTE, **cancelled(statusReason={"text": "moved away"}))
    task = endpoint.only("POST Task").body
    assert task["code"]["coding"][0]["code"] == "abort"
    assert task["focus"] == {"reference": REMOTE}
    assert task["for"] == {"reference": "Patient/theirs"}
    assert task["reasonCode"] == {"text": "moved away"}
    assert (task["identifier"][0]["system"], task["identifier"][0]["value"]) == (
        f"{BASE}/identifier/message",
        f"urn:uuid:{MESSAGE}",
    )
    assert receipt.remote == f"{ADDRESS}/Task/99"
    validation.check(task, "Task")


async def test_a_cancellation_that_comes_second_reads_again():
    endpoint = scripted(at_receiver(), answer(412), **{"POST Task": [created("99")]})
    endpoint.script["GET Task/77"].append(answer(200, at_receiver(status="in-progress")))
    await submit(endpoint, remote=REMOTE, **cancelled())
    assert endpoint.lines == ["GET Task/77", "PUT Task/77", "GET Task/77", "GET Task/77", "POST Task"]


async def test_a_copy_that_changes_all_the_time_is_tried_again_later():
    endpoint = scripted(at_receiver(), answer(412))
    with pytest.raises(NotSent):
        await submit(endpoint, remote=REMOTE, **cancelled())


async def test_a_cancellation_that_is_refused_is_a_refusal():
    endpoint = scripted(at_receiver(), answer(403))
    with pytest.raises(Refused):
        await submit(endpoint, remote=REMOTE, **cancelled())
    stubborn = scripted(at_receiver(), answer(422))
    with pytest.raises(Refused):
        await submit(stubborn, remote=REMOTE, **cancelled())


async def test_a_receiver_without_update_is_patched():
    endpoint = scripted(at_receiver(), answer(405), **{"PATCH Task/77": [answer(200)]})
    await submit(endpoint, remote=REMOTE, **cancelled(statusReason={"text": "late"}))
    patch = endpoint.only("PATCH Task/77")
    assert patch.headers["content-type"] == "application/json-patch+json"
    assert patch.headers["if-match"] == 'W/"4"'
    assert {(one["op"], one["path"]) for one in patch.body} == {
        ("add", "/status"),
        ("add", "/statusReason"),
        ("add", "/lastModified"),
    }


# Aborting


async def test_an_abort_is_a_task_of_its_own_about_the_receivers_task():
    endpoint = scripted(at_receiver(status="in-progress"), **{"POST Task": [created("99")]})
    receipt = await gravity_task.deliver(abort_package(REMOTE), endpoint, in_doubt=False)
    post = endpoint.only("POST Task")
    assert post.headers["if-none-exist"].endswith("|urn:uuid:abort")
    assert post.body["identifier"][0]["value"] == "urn:uuid:abort"
    assert post.body["code"]["coding"][0]["code"] == "abort"
    assert post.body["status"] == "requested"
    assert post.body["focus"] == {"reference": REMOTE}
    assert post.body["reasonCode"] == {"text": "The client moved away."}
    assert receipt.remote == f"{ADDRESS}/Task/99"
    validation.check(post.body, "Task")


async def test_an_abort_finds_the_receivers_task_by_the_identifier_of_the_referral():
    endpoint = scripted(at_receiver(), **{"GET Task": [searchset(at_receiver())], "POST Task": [created("99")]})
    await gravity_task.deliver(abort_package(), endpoint, in_doubt=False)
    assert endpoint.sent[0].query == BY_PLACER
    nothing = Endpoint({"GET Task": [searchset()]})
    with pytest.raises(Unsuitable) as caught:
        await gravity_task.deliver(abort_package(), nothing, in_doubt=False)
    assert caught.value.code == "nothing-to-abort"


async def test_an_abort_in_doubt_is_looked_for_by_its_own_identifier():
    def look(sent: Sent) -> Any:
        assert sent.query[0][1].endswith("|urn:uuid:abort")
        own = {"system": PLACER[0], "value": "urn:uuid:abort"}
        return searchset({"resourceType": "Task", "id": "99", "identifier": [own]})

    endpoint = scripted(at_receiver(), **{"GET Task": [look]})
    receipt = await gravity_task.deliver(abort_package(REMOTE), endpoint, in_doubt=True)
    assert receipt.found
    assert "POST Task" not in endpoint.lines


async def test_identifiers_are_escaped_for_search_and_header():
    odd = (f"{BASE}/a,b", "x|y$z\\ü&q=1")
    made = package(task={"identifier": []})
    made = type(made)(**{name: getattr(made, name) for name in made.__slots__} | {"placer": odd})
    endpoint = Endpoint({"GET Task": [searchset()], "POST Task": [created("77")]})
    await gravity_task.deliver(made, endpoint, in_doubt=True)
    assert endpoint.sent[0].query == [("identifier", f"{BASE}/a\\,b|x\\|y\\$z\\\\ü&q=1")]
    header = endpoint.sent[1].headers["if-none-exist"]
    assert re.fullmatch(r"identifier=[\x21-\x7e]+", header)
    assert "&" not in header
