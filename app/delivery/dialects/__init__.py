"""The dialects: a file each, and their choice for an Endpoint."""

from __future__ import annotations

from collections.abc import Mapping

from app.delivery.dialects import (
    ehr_document,
    fhir_transaction,
    gravity_task,
    light,
    servicerequest,
    webhook,
    worklist,
)
from app.delivery.dialects.base import Dialect, Misconfigured
from app.fhir.own import dialects
from app.fhir.types import Json

DIALECTS: Mapping[str, Dialect] = {
    dialect.name: dialect
    for dialect in (gravity_task, fhir_transaction, servicerequest, ehr_document, light, webhook, worklist)
}


def choose(endpoint: Json, remembered: str | None, *, base_url: str = "") -> Dialect | None:
    """The dialect that an Endpoint states; this server's own address (`base_url`) means light; else the one that a
    probe found. None: nobody knows yet, so it has to be probed. Raises Misconfigured for a dialect that there is not.
    """
    stated = dialects.stated(endpoint)
    if stated is not None and stated not in DIALECTS:
        raise Misconfigured("The Endpoint states a dialect that this server does not have.")
    if stated is None and base_url and endpoint.get("address", "").rstrip("/") == base_url:
        stated = dialects.LIGHT
    return DIALECTS.get(stated or remembered or "")
