"""SDOH Clinical Care 3.0.0, direct: a Task is posted, and the recipient reads everything else on this server.

https://hl7.org/fhir/us/sdoh-clinicalcare/ (SDOHCC-TaskForReferralManagement, referral workflow)
"""

from __future__ import annotations

from app.delivery.dialects import tasks
from app.delivery.dialects.base import Exchange, Package, Receipt
from app.delivery.dialects.capabilities import Statement
from app.delivery.dialects.copies import absolute
from app.delivery.dialects.creates import create_once
from app.fhir.own import dialects
from app.fhir.types import Json

name: str = dialects.GRAVITY_TASK
payloads: frozenset[str] = dialects.PAYLOADS[name]
electronic: bool = True


def suits(capabilities: Json) -> bool:
    """Tasks can be created, and after a lost answer either found again or created without fear."""
    statement = Statement(capabilities)
    return statement.creates("Task") and (statement.creates_once("Task") or statement.finds("Task"))


async def deliver(package: Package, exchange: Exchange, *, in_doubt: bool) -> Receipt:
    return await _KINDS[package.kind](package, exchange, in_doubt=in_doubt)


async def _submit(package: Package, exchange: Exchange, *, in_doubt: bool) -> Receipt:
    task = tasks.referral(package, absolute(package.base_url))
    return await create_once(package, exchange, task, package.placer, in_doubt=in_doubt)


_KINDS = {"submit": _submit, "cancel": tasks.cancel, "abort": tasks.abort}
