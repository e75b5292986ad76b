"""webhook: a signed notice that names the Task and says nothing of the client."""

from __future__ import annotations

import hmac
from base64 import b64decode
from hashlib import sha256

import pytest

from app.delivery.dialects import webhook
from app.delivery.dialects.base import InDoubt, Misconfigured, Receipt, Refused
from tests.support.packages import BASE, MESSAGE, NOW, PLACER, Endpoint, abort_package, answer, package

SECRET = bytes(range(32))


def endpoint(*answers: object) -> Endpoint:
    return Endpoint({"POST": list(answers)}, signing_secret=SECRET)  # type: ignore[arg-type]


async def test_the_notice_names_the_task_by_url_and_identifier_alone():
    receiver = endpoint(answer(204))
    assert await webhook.deliver(package(), receiver, in_doubt=False) == Receipt()
    sent = receiver.only("POST")
    assert sent.body == {
        "type": "referral.requested",
        "timestamp": "2026-03-02T10:00:00Z",
        "data": {
            "task": f"{BASE}/Task/t1",
            "serviceRequest": f"{BASE}/ServiceRequest/sr1",
            "identifier": {"system": PLACER[0], "value": PLACER[1]},
        },
    }
    assert sent.headers["content-type"] == "application/json"


async def test_the_signature_covers_id_time_and_the_very_body():
    receiver = endpoint(answer(200))
    await webhook.deliver(package(), receiver, in_doubt=False)
    sent = receiver.only("POST")
    assert sent.headers["webhook-id"] == MESSAGE
    assert sent.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    version, _, signature = sent.headers["webhook-signature"].partition(",")
    content = f"{MESSAGE}.{sent.headers['webhook-timestamp']}.".encode() + sent.raw
    assert version == "v1"
    assert b64decode(signature) == hmac.new(SECRET, content, sha256).digest()


def test_the_signature_is_that_of_the_specification():
    """The example of the reference libraries of Standard Webhooks."""
    secret = b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = webhook.signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_in_doubt_the_same_notice_is_sent_again_under_the_same_id():
    receiver = endpoint(InDoubt("reset"), answer(200))
    with pytest.raises(InDoubt):
        await webhook.deliver(package(), receiver, in_doubt=False)
    await webhook.deliver(package(), receiver, in_doubt=True)
    first, second = receiver.sent
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.raw == second.raw


@pytest.mark.parametrize("secret", [None, b""])
async def test_without_a_secret_nothing_is_sent(secret: bytes | None):
    receiver = endpoint(answer(200))
    receiver.signing_secret = secret
    with pytest.raises(Misconfigured):
        await webhook.deliver(package(), receiver, in_doubt=False)
    assert receiver.sent == []


@pytest.mark.parametrize("status", [301, 400, 410, 429, 500, 503])
async def test_whatever_is_no_success_is_a_refusal(status: int):
    with pytest.raises(Refused) as caught:
        await webhook.deliver(package(), endpoint(answer(status)), in_doubt=False)
    assert caught.value.answer.status == status
    assert ("switched off" in str(caught.value)) == (status == 410)


async def test_the_type_tells_what_happened():
    receiver = endpoint(answer(200))
    await webhook.deliver(package("cancel"), receiver, in_doubt=False)
    await webhook.deliver(abort_package(), receiver, in_doubt=False)
    assert [one.body["type"] for one in receiver.sent] == ["referral.cancelled", "referral.abort_requested"]
    assert receiver.sent[1].body["data"]["focus"] == f"{BASE}/Task/t1"
