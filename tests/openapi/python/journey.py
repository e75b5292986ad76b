"""A referral from its order to its end, through a client that is made from the description."""

from __future__ import annotations

import sys

from careloop_client.api.clients import create_patient
from careloop_client.api.refer import (
    create_organization,
    create_service_request,
    delivery_task,
    read_task,
    refer_service_request,
    search_task,
    update_task,
)
from careloop_client.client import Client
from careloop_client.models.bundle import Bundle
from careloop_client.models.codeable_concept import CodeableConcept
from careloop_client.models.human_name import HumanName
from careloop_client.models.operation_outcome import OperationOutcome
from careloop_client.models.organization import Organization
from careloop_client.models.parameters import Parameters
from careloop_client.models.parameters_parameter import ParametersParameter
from careloop_client.models.patient import Patient
from careloop_client.models.reference import Reference
from careloop_client.models.resource import Resource
from careloop_client.models.service_request import ServiceRequest
from careloop_client.models.service_request_intent import ServiceRequestIntent
from careloop_client.models.service_request_status import ServiceRequestStatus
from careloop_client.models.task import Task
from careloop_client.models.task_output import TaskOutput
from careloop_client.models.task_status import TaskStatus
from httpx import Timeout


def organization(client: Client, name: str) -> str:
    made = create_organization.sync(client=client, body=Organization(resource_type="Organization", name=name))
    assert isinstance(made, Organization), made
    return f"Organization/{made.id}"


def referral(client: Client, requester: str, recipient: str) -> Task:
    name = HumanName(family="Diaz", given=["Ana"])
    patient = create_patient.sync(client=client, body=Patient(resource_type="Patient", name=[name]))
    assert isinstance(patient, Patient), patient
    order = create_service_request.sync(
        client=client,
        body=ServiceRequest(
            resource_type="ServiceRequest",
            status=ServiceRequestStatus.DRAFT,
            intent=ServiceRequestIntent.ORDER,
            code=CodeableConcept(text="Food pantry"),
            subject=Reference(reference=f"Patient/{patient.id}"),
            requester=Reference(reference=requester),
        ),
    )
    assert isinstance(order, ServiceRequest), order
    asked = ParametersParameter(name="recipient", value_reference=Reference(reference=recipient))
    made = refer_service_request.sync(
        str(order.id), client=client, body=Parameters(resource_type="Parameters", parameter=[asked])
    )
    assert isinstance(made, Bundle), made
    assert made.entry
    task = made.entry[0].resource
    assert isinstance(task, Resource), task
    return read(client, str(task.id))


def read(client: Client, id_: str) -> Task:
    found = read_task.sync(id_, client=client)
    assert isinstance(found, Task), found
    return found


def move(client: Client, task: Task, actor: str, status: TaskStatus) -> Task:
    assert task.meta, task
    task.status = status
    made = update_task.sync(
        str(task.id), client=client, body=task, x_care_loop_actor=actor, if_match=f'W/"{task.meta.version_id}"'
    )
    assert isinstance(made, Task), made
    return made


def main(base_url: str) -> None:
    client = Client(base_url=base_url, timeout=Timeout(30))
    requester, recipient = (organization(client, name) for name in ("Harbor Case Management", "Eastside Food Bank"))
    task = referral(client, requester, recipient)
    assert task.status is TaskStatus.REQUESTED

    wrong = Task.from_dict(task.to_dict() | {"status": "accepted"})
    refused = update_task.sync_detailed(str(task.id), client=client, body=wrong, x_care_loop_actor=requester)
    assert refused.status_code == 403
    assert isinstance(refused.parsed, OperationOutcome)

    task = move(client, task, recipient, TaskStatus.ACCEPTED)
    task = move(client, task, recipient, TaskStatus.IN_PROGRESS)
    task.output = [TaskOutput(type_=CodeableConcept(text="Result"), value_string="Two boxes of food a month.")]
    task = move(client, task, recipient, TaskStatus.COMPLETED)

    found = search_task.sync(client=client, owner=[recipient], status=["completed"])
    assert isinstance(found, Bundle), found
    assert found.total == 1

    delivery = delivery_task.sync(str(task.id), client=client)
    assert isinstance(delivery, Parameters), delivery
    parts = [part for each in delivery.parameter or () for part in each.part or ()]
    print(task.status, next(part.value_code for part in parts if part.name == "state"))


main(sys.argv[1])
