"""Whatever is sent, the answer is FHIR and never a server fault."""

from __future__ import annotations

import json
import string
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.spec.api import FHIR_JSON, JSON_PATCH, Fhir, entry, patient, unique
from tests.spec.examples import example

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))

ANY_TEXT = st.text(max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT
NAMES = st.sampled_from(
    ["resourceType", "id", "meta", "name", "given", "_given", "extension", "contained", "text", "div", "url"]
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | ANY_TEXT, inner, max_size=4),
    max_leaves=20,
)


def sound(response: httpx.Response, *statuses: int) -> None:
    """One of the statuses, and a FHIR resource as the body."""
    assert response.status_code in statuses, (response.status_code, response.text[:300])
    if response.content:
        assert response.headers["content-type"].startswith(FHIR_JSON)
        assert response.json()["resourceType"]


@QUICK
@given(tree=TREES)
async def test_any_json(fhir: Fhir, tree: Any):
    """#create, #transaction, #patch: any JSON at all, in every place that takes a body."""
    body = json.dumps(tree).encode()
    sound(await fhir.post("Patient", body), 201, 400, 409)
    sound(await fhir.post("", body), 200, 400)
    sound(await fhir.post("Patient/$validate", body), 200, 400)
    made = await fhir.created(patient())
    sound(await fhir.patch(f"Patient/{made['id']}", body, content_type=JSON_PATCH), 200, 400, 422)
    sound(await fhir.patch(f"Patient/{made['id']}", body, content_type=FHIR_JSON), 200, 400, 422)


@QUICK
@given(body=st.binary(max_size=60))
async def test_any_bytes(fhir: Fhir, body: bytes):
    """#create: bytes that are hardly ever JSON."""
    sound(await fhir.post("Patient", body), 201, 400)


KINDS = st.sampled_from(["Patient", "Observation", "Consent", "Questionnaire", "Bundle", "ValueSet", "Claim"])


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, Any]:
    """A valid resource in which one value, anywhere, is replaced by any other."""
    kind = draw(KINDS)
    resource = json.loads(json.dumps(example(kind)))
    places = [(holder, key) for holder in _holders(resource) for key in _keys(holder)]
    holder, key = draw(st.sampled_from(places))
    holder[key] = draw(TREES)
    return kind, resource


def _holders(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [value, *(found for item in inner for found in _holders(item))] if inner else []


def _keys(holder: Any) -> list[Any]:
    return list(holder) if isinstance(holder, dict) else list(range(len(holder)))


@QUICK
@given(case=damaged())
async def test_any_damage_to_a_valid_resource(fhir: Fhir, case: tuple[str, Any]):
    """#create: it is refused, or it is stored as it was sent."""
    kind, resource = case
    response = await fhir.post(kind, resource)
    sound(response, 201, 400, 409)
    if response.status_code == 201:
        sent = {name: value for name, value in resource.items() if name not in ("id", "meta")}
        assert {name: value for name, value in response.json().items() if name not in ("id", "meta")} == sent


PARAMETERS = st.sampled_from(
    [
        "_id",
        "_lastUpdated",
        "_tag",
        "_profile",
        "code",
        "date",
        "value-quantity",
        "subject",
        "patient",
        "status",
        "_count",
        "code-value-quantity",
        "combo-code",
        "value-string",
        "_source",
        "_total",
        "_summary",
        "_cursor",
        "_sort",
        "identifier",
    ]
)
MODIFIERS = st.sampled_from(
    ["", ":missing", ":not", ":exact", ":contains", ":below", ":above", ":identifier", ":Patient", ":"]
)
PIECES = st.sampled_from(
    ["|", ",", "$", "\\", "gt", "2020", "-01", "T10:00", "1e5", "true", "Patient/1", "http://a/b", " ", "%"]
)
VALUES = st.lists(PIECES | st.text(max_size=5), max_size=5).map("".join)


@QUICK
@given(
    pairs=st.lists(
        st.tuples(PARAMETERS | st.text(string.ascii_letters + "_:.-", max_size=8), MODIFIERS, VALUES), max_size=3
    )
)
async def test_any_search(fhir: Fhir, pairs: list[tuple[str, str, str]]):
    """search.html: any names, modifiers and values."""
    query = "&".join(f"{quote(name + modifier)}={quote(value)}" for name, modifier, value in pairs)
    sound(await fhir.get(f"Observation?{query}"), 200, 400)
    sound(await fhir.get(f"Observation?{query}", prefer="handling=lenient"), 200, 400)
    response = await fhir.send("DELETE", f"Observation?_tag={unique()}&{query}")
    sound(response, 204, 400)


@QUICK
@given(path=st.text(max_size=30), method=st.sampled_from(["GET", "HEAD", "PUT", "PATCH", "DELETE"]))
async def test_any_path(fhir: Fhir, path: str, method: str):
    """http.html#general: any path below the base."""
    encoded = quote(path.encode("utf-8", "surrogatepass"), safe="/$_")
    response = await fhir.send(method, f"Patient/{encoded}")
    assert response.status_code < 500


URLS = [
    "",
    " ",
    "/",
    "//",
    "?",
    "Patient/",
    "/Patient/1",
    "Patient//1",
    "Patient/1/",
    "Patient/%00",
    "Patient/a_b",
    "Patient?",
]
URLS += [
    "Patient/1#x",
    "_history",
    "metadata",
    "$validate",
    "Patient/$validate",
    "Patient/_search",
    "Bundle",
    "http://",
    "a" * 9000,
]
URLS += [
    "urn:uuid:1",
    "javascript:alert(1)",
    "Patient/1/_history/99999999999999999999",
    "Patient?identifier=%",
    "\ud7ff",
    "Patient\n/1",
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_any_url_in_an_entry(fhir: Fhir, kind: str, url: str):
    """bundle.html: entry.request.url may hold anything."""
    for item in (
        entry("GET", url),
        entry("DELETE", url),
        entry("PUT", url, patient(id="1")),
        entry("POST", url, patient()),
    ):
        sound(await fhir.bundle(kind, item), 200, 400, 404, 405, 409, 412)


REFERENCES = [
    "Patient/",
    "Patient",
    "/Patient/1",
    "../Patient/1",
    "Patient/a_b",
    "Patient/1/_history/",
    "Patient/1/_history/x",
    "#",
]
REFERENCES += [
    "Patient/1/_history/99999999999999999999",
    "Banana/1",
    "?",
    "Patient?",
    "Patient?x=y",
    "http://",
    "urn:uuid:x",
    "##",
]
REFERENCES += [
    "Patient/1?x=y",
    "Patient/1#x",
    "a" * 9000,
    "Patient/" + "a" * 65,
    "javascript:alert(1)",
    "%00",
    "Patient/%31",
]


@pytest.mark.parametrize("target", REFERENCES)
async def test_any_text_as_a_reference(fhir: Fhir, target: str):
    """references.html: what is no reference to a resource of this server is kept or refused."""
    body = {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": target}}
    sound(await fhir.post("Basic", body), 201, 400, 409)
    sound(await fhir.bundle("transaction", entry("POST", "Basic", body)), 200, 400, 404, 409, 412)
