"""`EpisodeOfCare/$everything`: the whole case, an operation of this server's own."""

from __future__ import annotations

import pytest

from app.fhir.validation import issues
from tests.spec.api import Fhir, Json, patient, practitioner, problem, reference
from tests.spec.entries import everything, pages, place
from tests.spec.test_everything import Record
from tests.support.factories import (
    care_plan,
    encounter,
    episode,
    goal,
    observation,
    organization,
    service_request,
    task,
)

WORKFLOW = "http://hl7.org/fhir/StructureDefinition/workflow-episodeOfCare"


def part_of_case(case: Json) -> Json:
    return {"extension": [{"url": WORKFLOW, "valueReference": reference(case)}]}


class Case(Record):
    """A case as the issue lists it, beside another case of the same patient and other resources of hers."""

    async def build(self, fhir: Fhir) -> Case:
        for label in ("agency", "shelter", "hospital"):
            await self.add(fhir, label, organization())
        await self.add(fhir, "manager", practitioner())
        await self.add(fhir, "nurse", practitioner())
        own = await self.add(fhir, "patient", patient(managingOrganization=reference(self.places["agency"])))
        nurse = [{"member": reference(self.places["nurse"])}]
        await self.add(fhir, "team", {"resourceType": "CareTeam", "subject": reference(own), "participant": nurse})
        await self.add(fhir, "referral", service_request(own, performer=[reference(self.places["hospital"])]))
        self.case = await self.add(
            fhir,
            "case",
            episode(
                own,
                team=[reference(self.places["team"])],
                careManager=reference(self.places["manager"]),
                managingOrganization=reference(self.places["agency"]),
                referralRequest=[reference(self.places["referral"])],
            ),
        )
        await self._add_plan(fhir, own)
        await self._add_others(fhir, own)
        return self

    async def _add_plan(self, fhir: Fhir, own: Json) -> None:
        await self.add(fhir, "visit", encounter(own, episodeOfCare=[reference(self.case)]))
        await self.add(fhir, "goal", goal(own))
        carried = part_of_case(self.case)
        shelter = [reference(self.places["shelter"])]
        await self.add(fhir, "request", service_request(own, performer=shelter, **carried))
        await self.add(fhir, "planned", service_request(own))
        await self.add(
            fhir,
            "plan",
            care_plan(
                own,
                goal=[reference(self.places["goal"])],
                activity=[{"reference": reference(self.places["planned"])}],
                **carried,
            ),
        )
        await self.add(fhir, "owner", organization())
        await self.add(fhir, "task", task(self.places["request"], owner=reference(self.places["owner"])))
        await self.add(fhir, "asked", task(self.places["planned"]))
        await self.add(fhir, "answer", task(self.places["referral"]))

    async def _add_others(self, fhir: Fhir, own: Json) -> None:
        second = await self.add(fhir, "second case", episode(own))
        await self.add(fhir, "shared visit", encounter(own, episodeOfCare=[reference(self.case), reference(second)]))
        await self.add(fhir, "second plan", care_plan(own, **part_of_case(second)))
        await self.add(fhir, "measured", observation(own))
        await self.add(fhir, "other task", task(await fhir.created(service_request(own))))
        agent = [{"who": reference(self.places["nurse"]), "requestor": True}]
        await self.add(
            fhir,
            "access",
            {
                "resourceType": "AuditEvent",
                "type": {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "110110"},
                "recorded": "2026-01-01T00:00:00Z",
                "agent": agent,
                "source": {"observer": reference(self.places["agency"])},
                "entity": [{"what": reference(self.case)}],
            },
        )


@pytest.fixture(scope="module")
async def case(fhir: Fhir) -> Case:
    return await Case().build(fhir)


WHOLE = {
    *("case", "patient", "team", "nurse", "manager", "agency", "referral", "hospital", "visit", "shared visit"),
    *("goal", "request", "shelter", "planned", "plan", "task", "owner", "asked", "answer"),
}


@pytest.mark.parametrize(
    ("query", "labels"),
    [
        ("", WHOLE),
        ("_type=Task", {"task", "asked", "answer"}),
        ("_type=Goal,CarePlan", {"goal", "plan"}),
        ("_type=EpisodeOfCare", {"case"}),
        ("_type=AuditEvent", set()),
        ("_type=Observation", set()),
    ],
)
async def test_a_whole_case(fhir: Fhir, case: Case, query: str, labels: set[str]) -> None:
    found = await everything(fhir, f"{place(case.case)}/$everything?{query}")
    assert case.labels(found) == labels


async def test_a_case_comes_in_pages(fhir: Fhir, case: Case) -> None:
    url = f"{place(case.case)}/$everything"
    parts = await pages(fhir, f"{url}?_count=5")
    assert [each for part in parts for each in part] == await everything(fhir, url)
    assert [len(part) for part in parts] == [5, 5, 5, 4]


async def test_a_case_has_no_dates_of_care(fhir: Fhir, case: Case) -> None:
    problem(await fhir.get(f"{place(case.case)}/$everything?start=2019"), 400)


async def test_the_case_of_another_patient_stays_apart(fhir: Fhir, case: Case) -> None:
    other = await fhir.created(patient())
    alien = await fhir.created(observation(other))
    mine = await fhir.created(episode(case.places["patient"]))
    source = await fhir.created(
        observation(case.places["patient"], derivedFrom=[reference(alien)], **part_of_case(mine))
    )
    found = await everything(fhir, f"{place(mine)}/$everything")
    assert set(found) == {place(mine), place(source), case.places["patient"]}


async def test_the_definition_of_our_operation_can_be_read(fhir: Fhir) -> None:
    rest = (await fhir.read("metadata"))["rest"][0]
    offered = next(resource for resource in rest["resource"] if resource["type"] == "EpisodeOfCare")["operation"]
    url = next(operation["definition"] for operation in offered if operation["name"] == "everything")
    assert url.startswith(fhir.base)
    definition = await fhir.read(url)
    assert definition["url"] == url
    assert [issue for issue in issues(definition, "OperationDefinition") if issue.severity == "error"] == []
    assert definition["resource"] == ["EpisodeOfCare"]
