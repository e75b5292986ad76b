"""What a running server answers is what the document says: status, headers, media type and body."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from app.fhir.json import dumps, loads
from app.fhir.openapi.examples import examples
from app.fhir.openapi.tags import CASE_MANAGEMENT
from app.fhir.routes import match
from app.services.sample.demo import demo_bundle
from tests.openapi.support import Json, resolved, response
from tests.support import factories
from tests.support.databases import create_database, drop_database
from tests.support.factories import bundle, entry, unique
from tests.support.referrals import Clinic, parameters, tasks_of
from tests.support.servers import RunningServer, await_ready, launch

Errors = Callable[[Any, Json], list[str]]
PATCH = {"Content-Type": "application/json-patch+json"}


class Described:
    """A client that checks every answer against the document."""

    def __init__(self, client: httpx.AsyncClient, document: Json, errors_of: Errors) -> None:
        self.http, self._document, self._errors = client, document, errors_of
        self.seen: set[tuple[str, str, int]] = set()

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        answer = await self.http.request(method, path, **more)
        self.check(method, path, answer)
        return answer

    def check(self, method: str, path: str, answer: httpx.Response) -> None:
        place = match(method, path.partition("?")[0])
        template = "/" + place.route.template.replace("{type}", place.type)
        told = response(self._document, template, method.lower(), answer.status_code)
        assert told is not None, (method, template, answer.status_code, answer.text[:300])
        self.seen.add((method, template, answer.status_code))
        for name, header in told.get("headers", {}).items():
            if name in answer.headers:
                assert self._errors(answer.headers[name], resolved(self._document, header)["schema"]) == [], name
        assert answer.headers["x-request-id"]
        if answer.content:
            media_type = answer.headers["content-type"].partition(";")[0]
            errors = self._errors(answer.json(), told["content"][media_type]["schema"])
            assert errors == [], (method, path, answer.status_code, errors[:3])
        else:
            assert "content" not in told or answer.request.headers.get("prefer") == "return=minimal"


@pytest.fixture
async def described(client: httpx.AsyncClient, document: Json, errors_of: Errors) -> Described:
    return Described(client, document, errors_of)


async def test_the_data_of_the_demonstration_reads_back_as_described(described: Described) -> None:
    data = demo_bundle()
    assert (await described.ask("POST", "", json=data)).status_code == 200
    kinds = set()
    for each in data["entry"]:
        resource = each["resource"]
        kinds.add(resource["resourceType"])
        if resource["resourceType"] in CASE_MANAGEMENT:
            path = f"{resource['resourceType']}/{resource['id']}"
            assert (await described.ask("GET", path)).status_code == 200
    for kind in sorted(kinds & set(CASE_MANAGEMENT)):
        for query in ("", "?_summary=true", "?_elements=id", "?_count=1&_total=accurate"):
            assert (await described.ask("GET", f"{kind}{query}")).status_code == 200
    assert len(kinds & set(CASE_MANAGEMENT)) > 15


@pytest.mark.parametrize("type_name", CASE_MANAGEMENT)
async def test_a_life_from_create_to_delete_is_as_described(
    start_open: httpx.AsyncClient, document: Json, errors_of: Errors, type_name: str
) -> None:
    described = Described(start_open, document, errors_of)
    resource = examples([type_name])[type_name]
    made = await described.ask("POST", type_name, json=resource)
    assert made.status_code == 201, made.text
    path = f"{type_name}/{made.json()['id']}"
    tag = made.headers["etag"]
    assert (await described.ask("GET", path)).status_code == 200
    assert (await described.ask("GET", path, headers={"If-None-Match": tag})).status_code == 304
    assert (await described.ask("GET", f"{path}/_history/1")).status_code == 200
    changed = made.json() | {"language": "en"}
    assert (await described.ask("PUT", path, json=changed, headers={"If-Match": tag})).status_code == 200
    assert (await described.ask("PUT", path, json=changed, headers={"If-Match": 'W/"9"'})).status_code == 412
    patch = b'[{"op":"replace","path":"/language","value":"fr"}]'
    assert (await described.ask("PATCH", path, content=patch, headers=PATCH)).status_code == 200
    assert (await described.ask("PATCH", path, content=patch)).status_code == 415
    for path_of in (f"{path}/_history", f"{type_name}/_history", f"{path}/$validate", f"{path}/$meta"):
        assert (await described.ask("GET", path_of)).status_code == 200
    prefer = {"Prefer": "return=OperationOutcome"}
    assert (await described.ask("PUT", path, json=changed, headers=prefer)).json()["resourceType"] == "OperationOutcome"
    assert (await described.ask("PUT", path, json=changed, headers={"Prefer": "return=minimal"})).content == b""
    assert (await described.ask("DELETE", path)).status_code == 204
    assert (await described.ask("GET", path)).status_code == 410
    assert (await described.ask("PATCH", path, content=patch, headers=PATCH)).status_code == 410
    assert (await described.ask("PUT", path, json=changed)).status_code == 201
    assert (await described.ask("GET", f"{type_name}/{unique()}")).status_code == 404


@pytest.fixture(scope="module")
async def start_open(
    postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server that takes references to what is not there, as the examples have them."""
    dsn = create_database(postgres, template)
    log = tmp_path_factory.mktemp("open") / "server.log"
    running: RunningServer = await_ready(launch(log, dsn, referential_integrity="off"))
    async with httpx.AsyncClient(base_url=running.base + "/", timeout=30) as client:
        yield client
    running.stop()
    drop_database(dsn)


async def test_refusals_are_as_described(described: Described) -> None:
    tag = unique()
    twice = factories.patient(identifier=[factories.identifier(tag)])
    for _ in range(2):
        await described.ask("POST", "Patient", json=twice)
    criteria = f"identifier={factories.IDENTIFIERS}|{tag}"
    gone = factories.observation(f"Patient/{unique()}")
    asked = [
        (400, "POST", "Patient", {"json": {"resourceType": "Patient", "gender": "banana"}}),
        (400, "POST", "Patient", {"content": b"{", "headers": {"Content-Type": "application/fhir+json"}}),
        (415, "POST", "Patient", {"content": b"x", "headers": {"Content-Type": "text/plain"}}),
        (406, "GET", "Patient", {"headers": {"Accept": "application/fhir+xml"}}),
        (400, "GET", "Patient?banana=1", {}),
        (400, "GET", "Patient", {"headers": {"X-CareLoop-Actor": "nobody"}}),
        (409, "POST", "Observation", {"json": gone}),
        (412, "POST", "Patient", {"json": twice, "headers": {"If-None-Exist": criteria}}),
        (412, "PUT", f"Patient?{criteria}", {"json": twice}),
        (412, "DELETE", f"Patient?{criteria}", {}),
        (404, "PATCH", f"Patient?identifier={unique()}", {"content": b"[]", "headers": PATCH}),
        (422, "PUT", "Patient/1", {"json": {**factories.patient(id="1"), "meta": {"tag": [_SUBSETTED]}}}),
        (404, "POST", "", {"json": bundle("transaction", [entry("GET", f"Patient/{unique()}")])}),
        (400, "POST", "", {"json": bundle("transaction", [entry("PUT", "Patient/1/_history", factories.patient())])}),
        (409, "POST", "", {"json": bundle("transaction", [entry("POST", "Observation", gone)])}),
    ]
    for status, method, path, more in asked:
        answer = await described.ask(method, path, **more)
        assert answer.status_code == status, (method, path, answer.status_code, answer.text[:200])


_SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}


async def test_operations_are_as_described(described: Described) -> None:
    clinic = Clinic(described.http)
    order, recipient, other = await clinic.order(), await clinic.recipient(), await clinic.recipient()
    refer = f"ServiceRequest/{order['id']}/$refer"
    body = parameters([("recipient", factories.reference(recipient))])
    key = {"Idempotency-Key": unique()}
    assert (await described.ask("POST", refer, json=parameters())).status_code == 400
    made = await described.ask("POST", refer, json=body, headers=key)
    assert made.status_code == 201
    assert (await described.ask("POST", refer, json=body, headers=key)).status_code == 200
    assert (await described.ask("POST", refer, json=body)).status_code == 409
    assert (await described.ask("POST", f"ServiceRequest/{unique()}/$refer", json=body)).status_code == 404
    (task,) = tasks_of(made.json())
    path = f"Task/{task['id']}"
    actor = {"X-CareLoop-Actor": f"Organization/{other['id']}"}
    assert (await described.ask("GET", f"{path}/$delivery")).status_code == 200
    assert (await described.ask("POST", f"{path}/$resolve")).status_code == 200
    assert (await described.ask("POST", f"{path}/$resolve", headers=actor)).status_code == 403
    assert (await described.ask("POST", f"{path}/$redeliver", headers=actor)).status_code == 403
    answer = await described.ask("POST", f"{path}/$redeliver", json=parameters(dialect="worklist"))
    assert answer.status_code in (200, 409)
    assert (await described.ask("GET", f"ServiceRequest/{order['id']}/$check-duplicate")).status_code == 200
    new = {key: value for key, value in order.items() if key not in ("id", "meta")}
    asked = parameters(resource=new)
    assert (await described.ask("POST", "ServiceRequest/$check-duplicate", json=asked)).status_code == 200
    assert (await described.ask("POST", "ServiceRequest/$check-duplicate", json=new)).status_code == 200
    forward = parameters([("recipient", factories.reference(other))], overrideDuplicate=True, overrideReason="x")
    assert (await described.ask("POST", f"{path}/$forward", json=forward)).status_code == 201
    client = order["subject"]["reference"]
    for query in (f"{client}/$everything", f"{client}/*", "$meta", "Task/$meta", "_history", "?_type=Task", "metadata"):
        assert (await described.ask("GET", query)).status_code == 200, query
    assert (await described.ask("GET", f"Observation/$lastn?patient={client}")).status_code == 200
    assert (await described.ask("GET", "Task?_query=worklist")).status_code == 200
    closed = task | {"status": "completed"}
    assert (await described.ask("PUT", path, json=closed, headers=actor)).status_code in (403, 409)


async def test_what_is_beside_the_base_is_as_described(
    server: RunningServer, document: Json, errors_of: Errors
) -> None:
    asked = {"/livez": 200, "/readyz": 200, "/.well-known/jwks.json": 200, "/openapi.json?types=Banana": 400}
    async with httpx.AsyncClient(base_url=server.origin) as client:
        for path, status in {**asked, "/openapi.json?types=List": 200, "/.well-known/jwks/none.json": 404}.items():
            answer = await client.get(path)
            template = path.partition("?")[0].replace("/none.json", "/{endpoint}.json")
            told = response(document, template, "get", status)
            assert (answer.status_code, told is not None) == (status, True), path
            if answer.content and told:
                media_type = answer.headers["content-type"].partition(";")[0]
                assert errors_of(answer.json(), told["content"][media_type]["schema"]) == [], path


@pytest.mark.samples
async def test_the_examples_of_social_care_read_back_as_described(
    start_open: httpx.AsyncClient, document: Json, errors_of: Errors, samples: Any
) -> None:
    described = Described(start_open, document, errors_of)
    count = 0
    for file in sorted((samples / "sdohcc").rglob("*.json")):
        resource = loads(file.read_bytes())
        if resource.get("resourceType") in CASE_MANAGEMENT and "id" in resource:
            path = f"{resource['resourceType']}/{resource['id']}"
            answer = await start_open.put(path, content=dumps(resource), headers={"Content-Type": "application/json"})
            if answer.status_code in (200, 201):
                await described.ask("GET", path)
                count += 1
    assert count > 20
