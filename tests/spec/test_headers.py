"""Media types, preferences and other headers: https://hl7.org/fhir/R4/http.html#mime-type, #ops, #custom; RFC 7240"""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.spec.api import FHIR_JSON, Fhir, outcome_issues, patient, problem, success, unique

JSON_TYPES = ["application/fhir+json", "application/json", "text/json", "json"]


@pytest.fixture(scope="module")
async def path(fhir: Fhir) -> str:
    return f"Patient/{(await fhir.created(patient(active=True)))['id']}"


ACCEPTED = [
    "*/*",
    "application/*",
    "application/fhir+json",
    "application/json",
    "text/json",
    "application/fhir+json; charset=utf-8",
    "application/fhir+json;fhirVersion=4.0",
    'application/fhir+json; fhirVersion="4.0"',
    "Application/FHIR+JSON",
    "application/fhir+xml, application/fhir+json;q=0.5",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
]


@pytest.mark.parametrize("accept", ACCEPTED)
async def test_json_is_sent_to_those_who_take_it(fhir: Fhir, path: str, accept: str):
    """#mime-type: whatever name of JSON was asked for, the answer is application/fhir+json in UTF-8."""
    response = await fhir.get(path, accept=accept)
    assert response.status_code == 200
    assert response.headers["content-type"].replace(" ", "").lower() in (FHIR_JSON, f"{FHIR_JSON};charset=utf-8")


async def test_json_is_sent_to_those_who_do_not_say(fhir: Fhir, path: str):
    """RFC 9110 12.5.1: no Accept header means anything."""
    request = fhir.http.build_request("GET", f"{fhir.base}/{path}")
    del request.headers["accept"]
    assert (await fhir.http.send(request)).status_code == 200


REFUSED = [
    "application/fhir+xml",
    "application/xml",
    "text/turtle",
    "application/fhir+turtle",
    "text/html",
    "image/png",
    "application/fhir+json;q=0",
    "application/fhir+json; fhirVersion=3.0",
    "application/fhir+json; fhirVersion=5.0",
]


@pytest.mark.parametrize("accept", REFUSED)
async def test_what_cannot_be_sent_is_406(fhir: Fhir, path: str, accept: str):
    """#mime-type: 406, and the OperationOutcome comes as JSON all the same."""
    problem(await fhir.get(path, accept=accept), 406)


FORMATS = [
    "json",
    "application/json",
    "text/json",
    "application/fhir+json",
    "application/fhir%2Bjson",
    "application/json;fhirVersion=4.0",
]


@pytest.mark.parametrize("format_", FORMATS)
async def test_format_wins_over_accept(fhir: Fhir, path: str, format_: str):
    """#parameters: _format overrides the Accept header."""
    assert (await fhir.get(f"{path}?_format={format_}", accept="application/fhir+xml")).status_code == 200


@pytest.mark.parametrize("format_", ["xml", "text/xml", "application/fhir+xml", "ttl", "html", "banana"])
async def test_another_format_is_406(fhir: Fhir, path: str, format_: str):
    """#parameters: _format overrides the Accept header, to a refusal too."""
    problem(await fhir.get(f"{path}?_format={format_}", accept=FHIR_JSON), 406)


async def test_a_write_that_could_not_be_answered_is_not_done(fhir: Fhir):
    """RFC 9110 15.5.7: 406 comes before any effect."""
    chosen = unique()
    problem(await fhir.put(f"Patient/{chosen}", patient(id=chosen), accept="application/fhir+xml"), 406)
    problem(await fhir.get(f"Patient/{chosen}"), 404)


@pytest.mark.parametrize("pretty", ["true", "false"])
async def test_pretty(fhir: Fhir, path: str, pretty: str):
    """#parameters: _pretty asks for indented JSON; the content is the same."""
    response = await fhir.get(f"{path}?_pretty={pretty}")
    assert (b"\n" in response.content.strip()) is (pretty == "true")
    assert response.json() == await fhir.read(path)


async def test_refusals_are_pretty_too(fhir: Fhir):
    """#parameters: _pretty goes with every answer."""
    refused = await fhir.get("Patient/nobody-is-here?_pretty=true")
    assert refused.status_code == 404
    assert refused.text.splitlines()[1].startswith('  "resourceType"')


async def test_pretty_keeps_decimals(fhir: Fhir):
    """datatypes.html#decimal: precision survives any way of printing."""
    raw = b'{"resourceType":"Basic","code":{"text":"x"},"extension":[{"url":"https://e.org","valueDecimal":1.00}]}'
    made = await fhir.created(raw)
    for query in ("_pretty=true", "_pretty=false"):
        assert b"1.00" in (await fhir.get(f"Basic/{made['id']}?{query}")).content


@pytest.mark.parametrize(
    "kind", [*JSON_TYPES[:3], "application/fhir+json; charset=UTF-8", "application/fhir+json;fhirVersion=4.0"]
)
async def test_json_is_read_by_all_its_names(fhir: Fhir, kind: str):
    """#mime-type: charset and fhirVersion are parameters of the media type."""
    assert (await fhir.post("Patient", patient(), content_type=kind)).status_code == 201


UNREADABLE = [
    "application/fhir+xml",
    "application/xml",
    "text/plain",
    "text/html",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/octet-stream",
    "application/fhir+json; charset=iso-8859-1",
    "application/fhir+json; charset=utf-16",
    "application/fhir+json; fhirVersion=3.0",
    "application/json-patch+json",
    "banana",
]


@pytest.mark.parametrize("kind", UNREADABLE)
@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_another_content_type_is_415(fhir: Fhir, method: str, kind: str):
    """#mime-type: 415 for a body that this server does not read."""
    chosen = unique()
    target = f"Patient/{chosen}" if method == "PUT" else "Patient"
    problem(await fhir.send(method, target, patient(id=chosen), {"Content-Type": kind}), 415)
    problem(await fhir.get(f"Patient/{chosen}"), 404)


async def test_a_body_without_content_type_is_415(fhir: Fhir):
    """RFC 9110 8.3: the server does not guess what it is sent."""
    request = fhir.http.build_request("POST", f"{fhir.base}/Patient", content=b'{"resourceType":"Patient"}')
    request.headers.pop("content-type", None)
    problem(await fhir.http.send(request), 415)


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "banana"])
async def test_an_encoded_body_is_415(fhir: Fhir, coding: str):
    """RFC 9110 8.4: this server reads no content coding, so no small body grows in its memory."""
    problem(await fhir.post("Patient", patient(), content_encoding=coding), 415)


PREFERENCES = [
    ("return=minimal", None),
    ("return=representation", "Patient"),
    ("return=OperationOutcome", "OperationOutcome"),
    ('return="minimal"', None),
    ("RETURN=minimal", None),
    ("respond-async-not, return=minimal; x=y, handling=lenient", None),
    ("handling=lenient; return=minimal", None),
    ("return=banana", "Patient"),
    ("banana", "Patient"),
    ("return", "Patient"),
    ("", "Patient"),
]


@pytest.mark.parametrize(("prefer", "kind"), PREFERENCES)
async def test_prefer_return(fhir: Fhir, prefer: str, kind: str | None):
    """#ops: what create, update and patch answer; preferences that are not understood are ignored (RFC 7240 2)."""
    made = await fhir.created(patient())
    target = f"Patient/{made['id']}"
    operations = [{"op": "replace", "path": "/gender", "value": "male"}]
    for response in (
        await fhir.post("Patient", patient(), prefer=prefer),
        await fhir.put(target, patient(id=made["id"], gender="other"), prefer=prefer),
        await fhir.patch(target, operations, prefer=prefer),
    ):
        assert response.status_code in (200, 201)
        assert "etag" in response.headers
        assert (response.json()["resourceType"] if response.content else None) == kind


async def test_prefer_outcome_tells_success(fhir: Fhir):
    """#ops: the outcome of a success has no error."""
    response = await fhir.post("Patient", patient(), prefer="return=OperationOutcome")
    assert {issue["severity"] for issue in outcome_issues(success(response, 201))} <= {"information", "warning"}


@pytest.mark.parametrize("given", ["a", "A-z_0.9", "0" * 64])
async def test_a_request_id_is_echoed(fhir: Fhir, path: str, given: str):
    """#custom: X-Request-Id comes back as it was sent, on success and on failure."""
    for target in (path, "Banana/1"):
        assert (await fhir.get(target, x_request_id=given)).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "0" * 65, "a b", "a;b", "ä", "<script>", "a,b"])
async def test_a_request_id_that_could_do_harm_is_replaced(fhir: Fhir, path: str, given: str):
    """#custom: only plain words are echoed into a header."""
    response = await fhir.send("GET", path, headers={b"X-Request-Id": given.encode()})
    assert response.headers["x-request-id"] != given
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,64}", response.headers["x-request-id"])


async def test_every_request_has_an_id_of_its_own(fhir: Fhir, path: str):
    """#custom: the server makes one where the client sent none."""
    ids = [(await fhir.get(target)).headers["x-request-id"] for target in (path, path, "Banana/1", "nonsense/$x/y/z")]
    assert len(set(ids)) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,64}", one) for one in ids)


METHODS: list[tuple[str, str, set[str]]] = [
    ("DELETE", "metadata", {"GET"}),
    ("POST", "metadata", {"GET"}),
    ("PUT", "", {"POST"}),
    ("POST", "Patient/1", {"GET", "PUT", "PATCH", "DELETE"}),
    ("PUT", "Patient/1/_history/1", {"GET"}),
    ("DELETE", "Patient/1/_history/1", {"GET"}),
    ("POST", "Patient/_history", {"GET"}),
    ("PUT", "Patient/_search", {"POST"}),
    ("PROPFIND", "Patient/1", {"GET"}),
    ("TRACE", "Patient/1", {"GET"}),
]


@pytest.mark.parametrize(("method", "target", "allowed"), METHODS)
async def test_an_unsupported_method_is_405_and_says_what_is_allowed(
    fhir: Fhir, method: str, target: str, allowed: set[str]
):
    """RFC 9110 15.5.6: 405 comes with Allow."""
    response = await fhir.send(method, target)
    problem(response, 405)
    assert allowed <= {name.strip() for name in response.headers["allow"].split(",")}


async def test_a_method_override_is_not_obeyed(fhir: Fhir, path: str):
    """What a request does is in its method alone."""
    response = await fhir.get(path, x_http_method_override="DELETE")
    assert response.status_code == 200
    assert (await fhir.get(path)).status_code == 200


@pytest.mark.parametrize("target", ["Patient/{id}", "Banana", "metadata", "Patient?_id=x"])
async def test_no_browser_guesses_a_type(fhir: Fhir, path: str, target: str):
    """Content sniffing is off: narrative is never rendered as a page of this server."""
    response = await fhir.get(target.format(id=path.split("/")[1]))
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_links_do_not_come_from_the_host_header(fhir: Fhir):
    """Absolute links are those of the configured base, whatever a client claims."""
    response = await fhir.post("Patient", patient(), host="evil.example.org", x_forwarded_host="evil.example.org")
    assert response.headers["location"].startswith(f"{fhir.base}/Patient/")
    search = await fhir.get("Patient?_count=1", host="evil.example.org")
    assert "evil.example.org" not in search.text


async def test_paths_outside_the_base_answer_as_fhir_too(fhir: Fhir):
    """#Status-Codes: every refusal below the base is an OperationOutcome."""
    for target in ("Patient/1/2/3/4", "$banana", "Patient/1/banana", "_banana", "Patient//1"):
        problem(await fhir.get(target), 400, 404)


async def test_the_probes_tell_the_truth(fhir: Fhir):
    """/livez and /readyz stand beside the base."""
    origin = fhir.base.removesuffix("/fhir")
    statuses: list[Any] = [(await fhir.http.get(f"{origin}/{probe}")).status_code for probe in ("livez", "readyz")]
    assert statuses == [200, 200]


async def test_the_base_url_is_a_setting(database: str, start_server: Any, fhir: Fhir, unused_tcp_port: int):
    """CARELOOP_BASE_URL is what every absolute link uses, by whatever name the server was reached."""
    public = f"http://localhost:{unused_tcp_port}/fhir"
    start_server(database, base_url=public, port=unused_tcp_port)
    own = Fhir(public.replace("localhost", "127.0.0.1"), fhir.http)
    made = await own.post("Patient", patient())
    assert made.headers["location"].startswith(f"{public}/Patient/")
    page = await own.read("Patient?_count=1")
    assert all(link["url"].startswith(f"{public}/Patient") for link in page["link"])
    assert page["entry"][0]["fullUrl"].startswith(f"{public}/Patient/")
    assert (await own.read("metadata"))["implementation"]["url"] == public
