"""No electronic way: a person calls, writes or faxes, and says so on the Task."""

from __future__ import annotations

from app.delivery.dialects.base import Exchange, Package, Receipt
from app.fhir.own import dialects
from app.fhir.types import Json

name: str = dialects.WORKLIST
payloads: frozenset[str] = dialects.PAYLOADS[name]
electronic: bool = False


def suits(capabilities: Json) -> bool:  # noqa: ARG001 - whoever has capabilities is electronic
    return False


async def deliver(package: Package, exchange: Exchange, *, in_doubt: bool) -> Receipt:  # noqa: ARG001
    return Receipt(manual=True)
