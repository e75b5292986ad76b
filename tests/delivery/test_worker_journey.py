"""From `$refer` on a real server to a recipient's own server and back, with real rules and effects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.support.factories import reference
from tests.support.outgoing import until
from tests.support.recipient import DROP, Recipient
from tests.support.referrals import Clinic
from tests.support.servers import RunningServer

StartServer = Callable[..., RunningServer]


@pytest.mark.parametrize("dialect", ["gravity-task", None])
async def test_a_referral_arrives_and_its_cancellation_follows(
    start_server: StartServer, recipient: Recipient, database: str, dialect: str | None
) -> None:
    server = start_server(database, outbound_allow="127.0.0.0/8", retry_base=0.05)
    recipient.script.append(DROP)
    async with httpx.AsyncClient(base_url=server.base + "/", timeout=30) as client:
        clinic = Clinic(client)
        endpoint = await clinic.endpoint(dialect, address=recipient.address)
        theirs = await clinic.organization(endpoint=[reference(endpoint)])
        (task,) = await clinic.referred(await clinic.order(), theirs)

        async def told(status: str) -> bool:
            stored = await clinic.read(f"Task/{task['id']}")
            parts: Any = [one for one in stored["extension"] if one["url"].endswith("/task-delivery")]
            return bool(parts) and parts[0]["extension"][0]["valueCode"] == status

        await until(lambda: told("delivered"), 20)
        (arrived,) = recipient.tasks()
        assert arrived["status"] == "requested"
        current = await clinic.read(f"Task/{task['id']}")
        reason = {"text": "The client moved away"}
        answer = await client.put(f"Task/{task['id']}", json={**current, "status": "cancelled", "statusReason": reason})
        assert answer.status_code == 200, answer.text

        async def settled() -> bool:
            return [one["state"] for one in await clinic.deliveries(task)] == ["delivered", "delivered"]

        await until(settled, 20)
        assert recipient.tasks()[0]["status"] == "cancelled"
    assert server.stop() == 0
    log = server.log.read_text()
    assert '"failure"' not in log
