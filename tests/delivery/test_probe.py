"""What an endpoint's CapabilityStatement means."""

from __future__ import annotations

from typing import Any

import pytest

from app.delivery.dialects.base import InDoubt, NotSent, Refused, Unsuitable
from app.delivery.probe import Probe, probe
from tests.support.packages import Endpoint, answer


def resource(kind: str, *interactions: str, search: tuple[str, ...] = (), **elements: Any) -> dict[str, Any]:
    found = {"type": kind, "interaction": [{"code": code} for code in interactions], **elements}
    return found | {"searchParam": [{"name": name, "type": "token"} for name in search]}


def statement(*resources: Any, system: tuple[str, ...] = (), mode: str = "server", **elements: Any) -> dict[str, Any]:
    rest = {"mode": mode, "resource": list(resources), "interaction": [{"code": code} for code in system]}
    return {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": [rest], **elements}


TASK = resource("Task", "create", "read", search=("identifier", "status"))
ORDER = resource("ServiceRequest", "create", search=("identifier",))
NOTE = resource("DocumentReference", "create", search=("patient",))

CASES = {
    "tasks that can be searched": (statement(TASK, ORDER, NOTE, system=("transaction",)), "gravity-task"),
    "tasks by conditional create": (statement(resource("Task", "create", conditionalCreate=True)), "gravity-task"),
    "tasks in transactions alone": (statement(resource("Task", "create"), system=("transaction",)), "fhir-transaction"),
    "tasks without any way back": (statement(resource("Task", "create"), ORDER), "servicerequest"),
    "tasks to update alone": (statement(resource("Task", "update", search=("identifier",)), NOTE), "ehr-document"),
    "orders": (statement(ORDER, NOTE, system=("transaction",)), "servicerequest"),
    "notes": (statement(NOTE, resource("ServiceRequest", "read")), "ehr-document"),
    "only reads": (statement(resource("Task", "read"), resource("ServiceRequest", "search-type")), None),
    "a client": (statement(TASK, mode="client"), None),
    "R5": (statement(TASK, fhirVersion="5.0.0"), None),
    "R4B": (statement(TASK, fhirVersion="4.3.0"), "gravity-task"),
    "nothing": ({"resourceType": "CapabilityStatement"}, None),
    "nonsense": ({"resourceType": "CapabilityStatement", "rest": [None, {"mode": "server", "resource": 7}]}, None),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_the_best_dialect_that_the_endpoint_takes_is_found(case: str):
    capabilities, expected = CASES[case]
    endpoint = Endpoint({"GET metadata": [answer(200, capabilities)]})
    assert (await probe(endpoint)).dialect == expected
    assert endpoint.lines == ["GET metadata"]


async def test_what_can_be_searched_by_identifier_is_told():
    endpoint = Endpoint({"GET metadata": [answer(200, statement(TASK, ORDER, NOTE))]})
    found = await probe(endpoint)
    assert found == Probe("gravity-task", frozenset({"Task", "ServiceRequest"}))
    assert found.finds_tasks


@pytest.mark.parametrize("body", [None, [], {"resourceType": "OperationOutcome"}])
async def test_what_does_not_describe_itself_is_unsuitable(body: Any):
    with pytest.raises(Unsuitable):
        await probe(Endpoint({"GET metadata": [answer(200, body)]}))


@pytest.mark.parametrize("status", [302, 401, 403, 404])
async def test_a_refusal_is_passed_on(status: int):
    with pytest.raises(Refused):
        await probe(Endpoint({"GET metadata": [answer(status)]}))


@pytest.mark.parametrize("trouble", [InDoubt("slow"), NotSent("down"), answer(503)])
async def test_a_probe_without_an_answer_leaves_no_doubt(trouble: Any):
    with pytest.raises(NotSent):
        await probe(Endpoint({"GET metadata": [trouble]}))
