"""The recipient works on this server (SDOHCC direct light): the Task is where it will be answered already."""

from __future__ import annotations

from app.delivery.dialects.base import Exchange, Package, Receipt
from app.fhir.own import dialects
from app.fhir.types import Json

name: str = dialects.LIGHT
payloads: frozenset[str] = dialects.PAYLOADS[name]
electronic: bool = True


def suits(capabilities: Json) -> bool:  # noqa: ARG001 - no server says that it uses ours
    return False


async def deliver(package: Package, exchange: Exchange, *, in_doubt: bool) -> Receipt:  # noqa: ARG001
    return Receipt()
