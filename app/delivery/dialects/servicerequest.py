"""The order itself, posted to the recipient (R4 workflow-ad-hoc.html, option B), where there are no Tasks.

The recipient cannot say no in it: its answer is the status of the order, or comes from a person.
"""

from __future__ import annotations

from app.delivery.dialects import tasks
from app.delivery.dialects.base import Exchange, Package, Receipt
from app.delivery.dialects.capabilities import Statement
from app.delivery.dialects.changes import change, locate
from app.delivery.dialects.copies import absolute, linked, placer_first, portable
from app.delivery.dialects.creates import create_once
from app.delivery.dialects.safety import warnings
from app.fhir.own import dialects
from app.fhir.types import Json

name: str = dialects.SERVICE_REQUEST
payloads: frozenset[str] = dialects.PAYLOADS[name]
electronic: bool = True

_OPEN = frozenset({"draft", "active", "on-hold", "unknown"})


def suits(capabilities: Json) -> bool:
    return Statement(capabilities).creates("ServiceRequest")


async def deliver(package: Package, exchange: Exchange, *, in_doubt: bool) -> Receipt:
    """A cancellation and an abort are the same here: the order is revoked."""
    if package.kind == "submit":
        return await create_once(package, exchange, order(package), package.placer, in_doubt=in_doubt)
    placer = package.placer if package.kind == "cancel" else tasks.aborted_placer(package)
    path = await locate(exchange, package.remote, "ServiceRequest", placer)
    if path is None or await change(exchange, path, _revoked) is None:
        return Receipt()
    return Receipt(remote=f"{exchange.address}/{path}")


def order(package: Package) -> Json:
    """The ServiceRequest as this one recipient gets it: told again by the identifier of the recipient's Task."""
    link = absolute(package.base_url)
    task = portable(package.task, link, package.base_url)
    copy = portable(package.request, link, package.base_url)
    notes = [*warnings(package.request), *copy.get("note", ()), *task.get("note", ())]
    copy |= {
        "identifier": linked(placer_first(package, package.request), link, package.base_url),
        "status": "active",
    }
    wanted = {
        "priority": task.get("priority"),
        "performer": [task["owner"]] if "owner" in task else None,
        "occurrencePeriod": None if _says_when(copy) else task.get("restriction", {}).get("period"),
        "note": notes,
    }
    return {**copy, **{element: value for element, value in wanted.items() if value}}


def _says_when(request: Json) -> bool:
    return any(element.startswith("occurrence") for element in request)


def _revoked(remote: Json) -> Json | None:
    return {**remote, "status": "revoked"} if remote.get("status") in _OPEN else None
