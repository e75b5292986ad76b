"""What gathers resources goes through nothing that the caller may not see, and costs as few statements as it may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest

from app.fhir.json import dumps, loads
from app.fhir.routes import match
from app.fhir.types import FhirRequest
from app.interactions.context import Context, Server
from app.interactions.engine import execute
from app.main import create_app
from app.security import access
from app.security.principal import ADMINISTRATOR
from app.settings import Settings
from app.store.predicate import Predicate
from tests.support.factories import (
    Json,
    care_plan,
    episode,
    goal,
    observation,
    organization,
    patient,
    practitioner,
    reference,
    service_request,
    task,
)

WORKFLOW = "http://hl7.org/fhir/StructureDefinition/workflow-episodeOfCare"
URL = "https://example.org/Questionnaire"
HIDDEN = Predicate("r.id NOT LIKE {0}", ("hidden%",))

CASE = {"extension": [{"url": WORKFLOW, "valueReference": reference("EpisodeOfCare/case")}]}
LABELLED = {"profile": ["https://example.org/secret"], "tag": [{"code": "label"}]}
OPEN = {"tag": [{"system": "https://example.org/open", "code": "label"}]}
ANSWER = {"resourceType": "QuestionnaireResponse", "status": "completed", "questionnaire": URL}

RESOURCES = (
    organization(id="agency"),
    organization(id="shelter"),
    practitioner(id="doctor"),
    patient(id="ada"),
    patient(id="hidden-one", managingOrganization=reference("Organization/agency")),
    observation("Patient/hidden-one", id="of-hidden"),
    observation("Patient/hidden-one/_history/1", id="of-version"),
    observation("Patient/ada", id="visible", effectiveDateTime="2020-01-01", meta=OPEN),
    observation("Patient/ada", id="hidden-last", effectiveDateTime="2021-01-01", meta=LABELLED)
    | {"performer": [reference("Practitioner/doctor")]},
    {"resourceType": "Questionnaire", "id": "hidden-form", "status": "active", "url": URL},
    ANSWER | {"id": "answer"},
    episode("Patient/ada", id="case"),
    goal("Patient/ada", id="goal"),
    care_plan("Patient/ada", id="hidden-plan", goal=[reference("Goal/goal")], **CASE),
    service_request("Patient/ada", id="hidden-request", **CASE),
    task("ServiceRequest/hidden-request", id="task"),
    service_request("Patient/ada", id="request", **CASE),
    task("ServiceRequest/request", id="hidden-task", owner=reference("Organization/shelter")),
)


async def ask(context: Context, method: str, path: str, body: Json | None = None) -> Json:
    url, _, query = path.partition("?")
    place = match(method, url)
    request = FhirRequest(
        method,
        place.route.interaction,
        place.type,
        place.id,
        place.version,
        parse_qsl(query),
        raw=dumps(body) if body else b"",
        member=place.member,
    )
    result = await execute(context, request)
    found: Json = loads(result.body) if result.body else {}
    return found


async def ids(context: Context, path: str) -> list[str]:
    return [item["resource"]["id"] for item in (await ask(context, "GET", path)).get("entry", [])]


@pytest.fixture
async def context(database: str) -> AsyncIterator[Context]:
    """An administrator on a server of the test's own, in this process."""
    server: Server = create_app(Settings(database_url=database, base_url="https://example.org/fhir")).fhir.server
    made = Context(server, ADMINISTRATOR)
    for resource in RESOURCES:
        await ask(made, "PUT", f"{resource['resourceType']}/{resource['id']}", resource)
    yield made
    await server.connections.close()


# What everyone sees, and what is left when no id that begins with `hidden` is there.
SEEN: list[tuple[str, set[str], set[str]]] = [
    ("Observation?_id=of-hidden&_include=Observation:subject", {"of-hidden", "hidden-one"}, {"of-hidden"}),
    (
        "Observation?_id=of-hidden&_include=Observation:subject&_include:iterate=Patient:organization",
        {"of-hidden", "hidden-one", "agency"},
        {"of-hidden"},
    ),
    ("Observation?_id=of-version&_include=Observation:subject", {"of-version", "hidden-one"}, {"of-version"}),
    ("Patient?_id=ada&_revinclude=Observation:subject", {"ada", "visible", "hidden-last"}, {"ada", "visible"}),
    (
        "QuestionnaireResponse?_id=answer&_include=QuestionnaireResponse:questionnaire",
        {"answer", "hidden-form"},
        {"answer"},
    ),
    ("Patient/ada/$everything?_type=Observation", {"visible", "hidden-last"}, {"visible"}),
    ("Patient/ada/$everything?_type=Practitioner", {"doctor"}, set()),
    ("EpisodeOfCare/case/$everything?_type=CarePlan,Goal", {"hidden-plan", "goal"}, set()),
    ("EpisodeOfCare/case/$everything?_type=Task", {"task", "hidden-task"}, set()),
    ("EpisodeOfCare/case/$everything?_type=Organization", {"shelter"}, set()),
    ("Observation/$lastn?patient=ada", {"hidden-last"}, {"visible"}),
]


async def test_nothing_is_reached_through_what_is_hidden(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, everyone, _ in SEEN:
        assert set(await ids(context, path)) == everyone, path
    monkeypatch.setattr(access, "visible", lambda principal: HIDDEN)
    for path, _, some in SEEN:
        assert set(await ids(context, path)) == some, path


async def test_labels_of_what_is_hidden_are_not_told(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("$meta", "Observation/$meta"):
        (parameter,) = (await ask(context, "GET", path))["parameter"]
        assert parameter["valueMeta"] == LABELLED | {"tag": LABELLED["tag"] + OPEN["tag"]}
    monkeypatch.setattr(access, "visible", lambda principal: HIDDEN)
    for path in ("$meta", "Observation/$meta"):
        assert (await ask(context, "GET", path))["parameter"] == [{"name": "return", "valueMeta": OPEN}]


STATEMENTS = [
    ("Observation?_id=visible", 1),
    ("Observation?_id=visible&_include=Observation:subject&_revinclude=Observation:has-member&_include=*", 2),
    ("Observation?_id=nothing&_include=Observation:subject", 1),
    ("Observation?_id=visible&_include=Patient:organization", 1),
    ("Observation?_id=of-hidden&_include=Observation:subject&_include:iterate=Patient:organization", 3),
    ("Patient/ada/$everything", 2),
    ("Observation/$lastn?patient=ada", 1),
    ("Patient/ada/$meta", 1),
]


async def test_how_many_statements_a_page_costs(context: Context) -> None:
    asked: list[str] = []
    async with context.server.connections.searching() as connection:
        inner = replace(context, connection=connection)
        for path, count in STATEMENTS:
            await ask(inner, "GET", path)  # the first time, the driver asks about types
            asked.clear()
            with connection.query_logger(lambda record: asked.append(record.query)):
                await ask(inner, "GET", path)
                await asyncio.sleep(0)  # the driver tells it a moment later
            assert len(asked) == count, path
