"""What these tests share: a client that speaks FHIR, builders of resources, and what every error looks like."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.factories import Json, bundle, concept, entry, reference, unique, urn

__all__ = ["Json", "bundle", "concept", "entry", "reference", "unique", "urn"]

FHIR_JSON = "application/fhir+json"
JSON_PATCH = "application/json-patch+json"
UCUM = "http://unitsofmeasure.org"
SPEC = "https://example.org/spec"


class Text(str):
    """A number as it was written, told apart from a JSON string of the same characters."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is Text and str.__eq__(self, other)

    __hash__ = str.__hash__


def exact(raw: str | bytes) -> Any:
    """Read JSON with every number kept as its text, to compare `1.0` with `1.00`."""
    return json.loads(raw, parse_float=Text, parse_int=Text)


def without_server_elements(resource: Json) -> Json:
    """The resource without what a server assigns on create: `id`, and `meta` where nothing else is in it."""
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in ("versionId", "lastUpdated")}
    rest = {k: v for k, v in resource.items() if k not in ("id", "meta")}
    return rest | ({"meta": meta} if meta else {})


def identifier(value: str, system: str = f"{SPEC}/identifier") -> list[Json]:
    return [{"system": system, "value": value}]


def patient(**elements: Any) -> Json:
    return {"resourceType": "Patient", **elements}


def raw_patient(inner: str) -> bytes:
    """A patient with elements that are given as they stand in the body."""
    return b'{"resourceType":"Patient",' + inner.encode() + b"}"


def practitioner(**elements: Any) -> Json:
    return {"resourceType": "Practitioner", **elements}


def quantity(value: float | str, code: str = "mm[Hg]", **elements: Any) -> Json:
    return {"value": value, "unit": code, "system": UCUM, "code": code, **elements}


def observation(code: str = "8867-4", **elements: Any) -> Json:
    return {"resourceType": "Observation", "status": "final", "code": concept(code), **elements}


def problem(response: httpx.Response, *statuses: int, code: str | None = None) -> list[Json]:
    """Assert that the response is an OperationOutcome with one of these statuses, and return its issues.

    Every refusal of the server must look like this: https://hl7.org/fhir/R4/http.html#Status-Codes.
    """
    assert response.status_code in statuses, (response.status_code, response.text[:500])
    assert response.headers["content-type"].startswith(FHIR_JSON)
    issues = outcome_issues(response.json())
    assert any(issue["severity"] in ("error", "fatal") for issue in issues)
    assert code is None or code in {issue["code"] for issue in issues}, issues
    return issues


def outcome_issues(outcome: Json) -> list[Json]:
    assert outcome["resourceType"] == "OperationOutcome"
    issues: list[Json] = outcome["issue"]
    assert issues
    assert all(issue["severity"] and issue["code"] and issue["diagnostics"] for issue in issues)
    return issues


def expressions(issues: Sequence[Json]) -> set[str]:
    return {expression for issue in issues for expression in issue.get("expression", [])}


def etag(version: int | str) -> str:
    return f'W/"{version}"'


def next_link(page: Json, relation: str = "next") -> str | None:
    urls = [link["url"] for link in page["link"] if link["relation"] == relation]
    return urls[0] if urls else None


@dataclass(frozen=True)
class Fhir:
    """One FHIR base, as a client sees it. Paths are relative to the base."""

    base: str
    http: httpx.AsyncClient

    async def send(
        self, method: str, path: str, body: Any = None, headers: Mapping[Any, Any] | None = None
    ) -> httpx.Response:
        """Send a body as FHIR JSON unless it is bytes already or the headers say another type."""
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {} if content is None else {"Content-Type": FHIR_JSON}
        url = path if path.startswith("http") else f"{self.base}/{path}" if path else self.base
        return await self.http.request(method, url, content=content, headers=sent | dict(headers or {}))

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.send("GET", path, headers=named(headers))

    async def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return await self.send("POST", path, body, named(headers))

    async def put(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return await self.send("PUT", path, body, named(headers))

    async def patch(self, path: str, body: Any, **headers: str) -> httpx.Response:
        kind = JSON_PATCH if isinstance(body, list) else FHIR_JSON
        return await self.send("PATCH", path, body, {"Content-Type": kind} | named(headers))

    async def delete(self, path: str, **headers: str) -> httpx.Response:
        return await self.send("DELETE", path, headers=named(headers))

    async def created(self, resource: Json | bytes, kind: str | None = None) -> Json:
        """Create the resource and return it as the server answered."""
        kind = kind or (exact(resource) if isinstance(resource, bytes) else resource)["resourceType"]
        return success(await self.post(str(kind), resource, prefer="return=representation"), 201)

    async def replaced(self, resource: Json) -> Json:
        path = f"{resource['resourceType']}/{resource['id']}"
        return success(await self.put(path, resource, prefer="return=representation"), 200, 201)

    async def read(self, path: str) -> Json:
        return success(await self.get(path), 200)

    async def versions(self, path: str) -> list[str]:
        """The version numbers of a resource, newest first, as its history tells them."""
        page = await self.read(f"{path}/_history")
        return [item["response"]["etag"] for item in page["entry"]]

    async def found(self, query: str) -> list[str]:
        """The ids of the matches on the first page, in order."""
        page = await self.read(query)
        return [item["resource"]["id"] for item in page.get("entry", []) if item["search"]["mode"] == "match"]

    async def bundle(self, kind: str, *entries: Json, **headers: str) -> httpx.Response:
        return await self.post("", bundle(kind, entries), **headers)

    async def transaction(self, *entries: Json) -> list[Json]:
        """Post a transaction that must succeed, and return the entries of its response."""
        answer = success(await self.bundle("transaction", *entries), 200)
        assert answer["type"] == "transaction-response"
        return list(answer.get("entry", []))


def named(headers: Mapping[str, str]) -> dict[str, str]:
    """Keyword arguments as header names: `if_match` is `If-Match`, and `content_type` replaces the default."""
    return {name.replace("_", "-").title(): value for name, value in headers.items()}


def statuses(items: Sequence[Json]) -> list[int]:
    """The status codes of response entries; `response.status` starts with three digits, a phrase may follow."""
    return [int(item["response"]["status"][:3]) for item in items]


def success(response: httpx.Response, *statuses: int) -> Json:
    assert response.status_code in statuses, (response.status_code, response.text[:500])
    found: Json = response.json()
    return found


def location(item: Json) -> str:
    """`Type/id` of an entry's response, whether its location is relative or absolute, versioned or not."""
    parts = item["response"]["location"].partition("/_history/")[0].split("/")
    return "/".join(parts[-2:])
