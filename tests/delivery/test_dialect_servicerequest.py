"""servicerequest: the order itself, once per recipient."""

from __future__ import annotations

import pytest

from app.delivery.dialects import servicerequest
from app.delivery.dialects.base import Receipt, Refused, Unresolvable
from app.delivery.dialects.safety import WARNING
from app.fhir import validation
from app.fhir.types import Json
from tests.support.packages import (
    ADDRESS,
    BASE,
    FLAG,
    PLACER,
    REQUEST,
    Endpoint,
    abort_package,
    answer,
    changed,
    created,
    package,
    searchset,
)

REMOTE = f"{ADDRESS}/ServiceRequest/5"
HELD = [{"system": PLACER[0], "value": PLACER[1]}]


def at_receiver(**elements: object) -> Json:
    return changed(REQUEST, {"id": "5", "identifier": HELD, "basedOn": None} | elements)


async def test_the_order_is_posted_once_under_the_tasks_placer_identifier():
    endpoint = Endpoint({"POST ServiceRequest": [created("5")]})
    receipt = await servicerequest.deliver(package(), endpoint, in_doubt=False)
    (sent,) = endpoint.sent
    assert sent.headers["if-none-exist"] == f"identifier={PLACER[0]}|{PLACER[1]}"
    order = sent.body
    assert order["identifier"][0]["value"] == PLACER[1]
    assert order["subject"] == {"reference": f"{BASE}/Patient/p1"}
    assert order["performer"] == [{"reference": f"{BASE}/HealthcareService/pantry"}]
    assert order["priority"] == "urgent"
    assert order["occurrencePeriod"] == {"end": "2026-04-01"}
    assert [note["text"] for note in order["note"]][1] == "Please be quick."
    assert receipt.remote == REMOTE
    validation.check(order, "ServiceRequest")


async def test_when_the_order_says_when_it_stays_so():
    endpoint = Endpoint({"POST ServiceRequest": [created("5")]})
    await servicerequest.deliver(package(request={"occurrenceDateTime": "2026-05-01"}), endpoint, in_doubt=False)
    assert "occurrencePeriod" not in endpoint.sent[0].body


async def test_the_safety_flag_stays_and_is_the_first_note():
    endpoint = Endpoint({"POST ServiceRequest": [created("5")]})
    await servicerequest.deliver(package(request={"orderDetail": [FLAG]}), endpoint, in_doubt=False)
    assert endpoint.sent[0].body["orderDetail"] == [FLAG]
    assert endpoint.sent[0].body["note"][0]["text"] == WARNING


async def test_in_doubt_the_receiver_is_asked_first():
    endpoint = Endpoint({"GET ServiceRequest": [searchset(at_receiver())]})
    receipt = await servicerequest.deliver(package(), endpoint, in_doubt=True)
    assert endpoint.lines == ["GET ServiceRequest"]
    assert receipt == Receipt(remote=REMOTE, found=True)
    with pytest.raises(Unresolvable):
        await servicerequest.deliver(package(), Endpoint({"GET ServiceRequest": [answer(400)]}), in_doubt=True)


async def test_a_refusal_is_passed_on():
    with pytest.raises(Refused):
        await servicerequest.deliver(package(), Endpoint({"POST ServiceRequest": [answer(422)]}), in_doubt=False)


async def test_a_cancellation_and_an_abort_revoke_the_order():
    for message in (package("cancel", remote=REMOTE), abort_package(REMOTE), package("cancel"), abort_package()):
        endpoint = Endpoint(
            {
                "GET ServiceRequest": [searchset(at_receiver())],
                "GET ServiceRequest/5": [answer(200, at_receiver(), etag='W/"9"')],
                "PUT ServiceRequest/5": [answer(200)],
            }
        )
        receipt = await servicerequest.deliver(message, endpoint, in_doubt=False)
        put = endpoint.only("PUT ServiceRequest/5")
        assert put.headers["if-match"] == 'W/"9"'
        assert put.body == at_receiver(status="revoked")
        assert receipt == Receipt(remote=REMOTE)
        if message.remote is None:
            assert endpoint.sent[0].query == [("identifier", f"{PLACER[0]}|{PLACER[1]}")]


async def test_an_order_that_has_ended_there_stays_as_it_is():
    endpoint = Endpoint({"GET ServiceRequest/5": [answer(200, at_receiver(status="completed"))]})
    await servicerequest.deliver(package("cancel", remote=REMOTE), endpoint, in_doubt=False)
    assert endpoint.lines == ["GET ServiceRequest/5"]
