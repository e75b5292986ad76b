"""A referral of the demonstration: the ServiceRequest, and the Task through which its recipient answers."""

from __future__ import annotations

from collections.abc import Iterator

from fhir.resources.R4B.resource import Resource
from fhir.resources.R4B.servicerequest import ServiceRequest
from fhir.resources.R4B.task import Task, TaskOutput, TaskRestriction

from app.services.sample.demo_places import CASE_MANAGER
from app.services.sample.demo_stories import Referral, Story
from app.services.sample.shapes import SNOMED
from app.services.sample.typed import SDOH, TASK_CODE, coded, marked, ref, said, since


def request_urls(story: Story) -> list[str]:
    return [f"ServiceRequest/{_id(story, item)}" for item in story.referrals]


def referral(story: Story, item: Referral) -> Iterator[Resource]:
    yield _request(story, item)
    yield _task(story, item)


def _id(story: Story, item: Referral) -> str:
    return f"{story.key}-{item.key}"


def _request(story: Story, item: Referral) -> ServiceRequest:
    return ServiceRequest(
        id=_id(story, item),
        identifier=marked(f"referral-{_id(story, item)}"),
        status=item.status,
        intent="order",
        category=[coded(SDOH, *story.domain)],
        priority="routine",
        code=coded(SNOMED, *item.service),
        subject=ref(f"Patient/{story.key}", f"{story.given} {story.family}"),
        authoredOn=story.opened,
        requester=ref(*CASE_MANAGER),
        performer=[ref(f"HealthcareService/{item.to}")],
        reasonReference=[ref(f"Condition/{story.key}-need")],
        supportingInfo=[ref(f"Consent/{story.key}")],
        note=said(item.note, story.opened),
    )


def _task(story: Story, item: Referral) -> Task:
    outcome = TaskOutput(type=coded(SDOH, "resulting-activity", "Resulting activity"), valueString=item.business)
    ending = {"output": [outcome]} if item.task == "completed" else {}
    refusal = {"statusReason": {"text": item.reason}} if item.reason else {}
    return Task(
        id=_id(story, item),
        identifier=marked(f"task-{_id(story, item)}"),
        status=item.task,
        businessStatus={"text": item.business},
        intent="order",
        priority="routine",
        code=coded(TASK_CODE, "fulfill", "Fulfill the focal request"),
        focus=ref(f"ServiceRequest/{_id(story, item)}"),
        for_fhir=ref(f"Patient/{story.key}", f"{story.given} {story.family}"),
        authoredOn=story.opened,
        lastModified=story.closed or "2026-11-02T11:00:00-05:00",
        requester=ref(*CASE_MANAGER),
        owner=ref(f"Organization/{item.to}"),
        restriction=TaskRestriction(repetitions=1, period=since(story.opened)),
        **refusal,
        **ending,
    )
