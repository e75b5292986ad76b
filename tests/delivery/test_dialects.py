"""Which dialect an Endpoint gets, and the two that send nothing."""

from __future__ import annotations

from typing import Any

import pytest

from app.delivery.dialects import DIALECTS, choose
from app.delivery.dialects.base import Misconfigured, Receipt
from app.fhir.own import dialects
from tests.support.packages import BASE, ENDPOINT, Endpoint, abort_package, changed, package

TYPES = "http://hl7.org/fhir/resource-types"


def chosen(remembered: str | None = None, base_url: str = "", **elements: Any) -> str | None:
    found = choose(changed(ENDPOINT, elements), remembered, base_url=base_url)
    return found.name if found else None


def extension(name: str, base_url: str = BASE) -> list[dict[str, str]]:
    return [{"url": f"{base_url}/StructureDefinition/delivery-dialect", "valueCode": name}]


def payload(*codings: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"coding": [{"system": system, "code": code} for system, code in codings]}]


def test_every_named_dialect_exists_and_no_other():
    assert list(DIALECTS) == list(dialects.DIALECTS)
    for name, dialect in DIALECTS.items():
        assert (dialect.name, dialect.payloads) == (name, dialects.PAYLOADS[name])
        assert dialect.electronic == (name != dialects.WORKLIST)


def test_the_extension_comes_before_the_payload_and_that_before_what_a_probe_found():
    assert chosen("servicerequest", extension=extension("webhook"), payloadType=payload((TYPES, "Task"))) == "webhook"
    assert chosen("servicerequest", payloadType=payload((TYPES, "Task"))) == "gravity-task"
    assert chosen("servicerequest") == "servicerequest"
    assert chosen() is None


def test_an_endpoint_copied_from_another_server_keeps_its_dialect():
    assert chosen(extension=extension("ehr-document", "https://other.example/x")) == "ehr-document"
    own = "https://other.example/x/CodeSystem/delivery-dialect"
    assert chosen(payloadType=payload((own, "fhir-transaction"))) == "fhir-transaction"


def test_of_several_payloads_the_best_is_taken():
    codings = (("http://loinc.org", "57133-1"), (TYPES, "ServiceRequest"))
    assert chosen(payloadType=payload(*codings)) == "servicerequest"


def test_this_servers_own_address_means_that_the_recipient_works_here():
    assert chosen("gravity-task", BASE, address=BASE + "/") == "light"
    assert chosen("gravity-task", BASE) == "gravity-task"
    assert chosen(None, BASE, address=BASE, extension=extension("gravity-task")) == "gravity-task"


def test_a_dialect_that_there_is_not_is_for_an_operator():
    with pytest.raises(Misconfigured):
        chosen(extension=extension("carrier-pigeon"))
    assert chosen("a-dialect-of-an-older-release") is None


async def test_light_and_worklist_send_nothing():
    silent = Endpoint({})
    for message in (package(), package("cancel"), abort_package()):
        assert await DIALECTS["light"].deliver(message, silent, in_doubt=True) == Receipt()
        assert await DIALECTS["worklist"].deliver(message, silent, in_doubt=True) == Receipt(manual=True)
    assert silent.sent == []
