"""The product's own dialects against the stand-in: what is in doubt is found, nothing is doubled, order is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import httpx
import pytest

from app.delivery.dialects import DIALECTS
from app.delivery.dialects.base import Answer, InDoubt, Package, Receipt
from app.receiver.webhook import key_of, new_secret
from tests.receiver.messages import SYSTEM, placer, value
from tests.support.packages import BASE, TASK, abort_package, package
from tests.support.receivers import RunningReceiver, running

SECRET = new_secret()


@dataclass(frozen=True)
class Exchange:
    """As plain as can be: a connection that breaks leaves a doubt."""

    address: str
    signing_secret: bytes | None = key_of(SECRET)

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Answer:
        url = f"{self.address}/{path}".rstrip("/")
        async with httpx.AsyncClient(timeout=20) as client:
            try:
                found = await client.request(method, url, params=list(query), headers=headers, content=body)
            except httpx.TransportError:
                raise InDoubt("broken") from None
        return Answer(found.status_code, dict(found.headers), found.content)


@pytest.fixture(scope="module")
def partner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningReceiver]:
    options = ("--sender", BASE, "--webhook-secret", SECRET, "--accept-after", "never")
    with running(tmp_path_factory.mktemp("partner"), *options) as receiver:
        known = {"resourceType": "Patient", "id": "p1", "identifier": _mrn()}
        receiver.control(load=[known])
        yield receiver


def _mrn() -> list[dict]:
    return [{"system": "https://clinic.example/mrn", "value": "MRN-77"}]


def messages(key: str) -> tuple[Package, Package, Package]:
    """Submit, cancel and abort of a referral whose Task has this identifier."""
    own = {"identifier": [placer(key)], "id": key.rpartition(":")[2]}
    task = {**TASK, **own}
    submit = package(task=own)
    cancel = package("cancel", task=own | {"status": "cancelled"})
    abort = abort_package()
    stop = abort.task | {"focus": {"reference": f"Task/{own['id']}"}, "identifier": [placer(value())], "id": "stop"}
    abort = replace(abort, task=stop, resources={**abort.resources, f"Task/{own['id']}": task})
    return tuple(  # type: ignore[return-value]
        replace(one, placer=(SYSTEM, key), message_id=value().rpartition(":")[2], now=datetime.now(UTC))
        for one in (submit, cancel, abort)
    )


@pytest.mark.parametrize("name", ["gravity-task", "fhir-transaction", "servicerequest", "ehr-document", "webhook"])
@pytest.mark.parametrize("ending", ["cancel", "abort"])
async def test_a_dialect_delivers_once_and_in_order(partner: RunningReceiver, name: str, ending: str) -> None:
    exchange = Exchange(f"{partner.origin}/webhook" if name == "webhook" else partner.base)
    key = value()
    submit, cancel, abort = messages(key)
    partner.control(next=[{"fault": "reset-after", "method": "POST"}])
    with pytest.raises(InDoubt):
        await DIALECTS[name].deliver(submit, exchange, in_doubt=False)
    receipt = await DIALECTS[name].deliver(submit, exchange, in_doubt=True)
    assert isinstance(receipt, Receipt)
    assert receipt.confirmed
    last = replace(cancel if ending == "cancel" else abort, remote=receipt.remote)
    await DIALECTS[name].deliver(last, exchange, in_doubt=False)
    await DIALECTS[name].deliver(last, exchange, in_doubt=True)
    ledger = partner.ledger()
    wanted = "cancel" if ending == "cancel" or name == "servicerequest" else "abort"
    assert ledger["referrals"][f"{SYSTEM}|{key}"] == ["submit", wanted]
    assert ledger["doubled"] == []
    mine = [m for m in ledger["messages"] if m["referral"] == f"{SYSTEM}|{key}"]
    assert {m["dialect"] for m in mine} == {name}
    assert {m["processed"] for m in mine} == {1}
