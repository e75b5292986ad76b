"""Conditional create, update, patch and delete: https://hl7.org/fhir/R4/http.html#ccreate, #cond-update, #3.1.0.7.1"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import quote

import httpx
import pytest

from tests.spec.api import (
    Fhir,
    Json,
    entry,
    etag,
    identifier,
    observation,
    patient,
    problem,
    reference,
    statuses,
    success,
    unique,
)

SYSTEM = "https://example.org/spec/identifier"
OPERATIONS = [{"op": "replace", "path": "/active", "value": False}]


async def several(fhir: Fhir, count: int) -> tuple[str, list[Json]]:
    """So many patients with one identifier, and its value."""
    value = unique()
    return value, [await fhir.created(patient(identifier=identifier(value), active=True)) for _ in range(count)]


async def untouched(fhir: Fhir, made: list[Json]) -> bool:
    return [await fhir.read(f"Patient/{one['id']}") for one in made] == made


class TestCreate:
    """#ccreate: If-None-Exist."""

    async def test_no_match_creates(self, fhir: Fhir):
        """No matches: the server processes the create as usual."""
        value = unique()
        response = await fhir.post(
            "Patient", patient(identifier=identifier(value)), if_none_exist=f"identifier={value}"
        )
        assert response.status_code == 201
        assert len(await fhir.found(f"Patient?identifier={value}")) == 1

    async def test_one_match_is_the_answer(self, fhir: Fhir):
        """One match: the post is ignored, 200, with the Location and ETag of what exists."""
        value, (made,) = await several(fhir, 1)
        response = await fhir.post("Patient", patient(gender="other"), if_none_exist=f"identifier={SYSTEM}|{value}")
        assert response.status_code == 200
        assert response.headers["etag"] == etag(1)
        assert response.headers["location"] == f"{fhir.base}/Patient/{made['id']}/_history/1"
        assert response.json() == made
        assert await fhir.versions(f"Patient/{made['id']}") == [etag(1)]

    @pytest.mark.parametrize("write", [str, quote], ids=["as it is", "percent encoded"])
    async def test_criteria_may_be_written_in_utf_8(self, fhir: Fhir, write: Callable[[str], str]):
        """RFC 9110 5.5: beyond ASCII a header is opaque octets; these are what FHIR writes everything in."""
        family = f"Zürichová{unique()}"
        headers = {"If-None-Exist": f"family={write(family)}".encode()}
        bodies = [patient(name=[{"family": family, "given": [str(n)]}]) for n in range(2)]
        assert [(await fhir.send("POST", "Patient", body, headers)).status_code for body in bodies] == [201, 200]

    @pytest.mark.parametrize("criteria", ["family=Zürich".encode("latin-1"), b"family=Z%FCrich", b"f\xfcmily=x"])
    async def test_criteria_in_another_encoding_are_400(self, fhir: Fhir, criteria: bytes):
        """Nobody can know what they mean: to create would be what the sender wanted to avoid."""
        value = unique()
        headers = {"If-None-Exist": criteria + f"&identifier={value}".encode()}
        problem(await fhir.send("POST", "Patient", patient(identifier=identifier(value)), headers), 400)
        assert await fhir.found(f"Patient?identifier={value}") == []

    async def test_criteria_in_another_encoding_are_400_in_a_bundle(self, fhir: Fhir):
        """The same for an entry, where they stand in ifNoneExist or in the url."""
        value = unique()
        body = patient(identifier=identifier(value))
        listed = [
            entry("POST", "Patient", body, ifNoneExist=f"identifier={value}%FC"),
            entry("PUT", f"Patient?identifier={value}%FC", body),
        ]
        answers = success(await fhir.bundle("batch", *listed), 200)["entry"]
        assert statuses(answers) == [400, 400]
        for item in listed:
            problem(await fhir.bundle("transaction", item), 400)
        assert await fhir.found(f"Patient?identifier={value}") == []

    async def test_other_headers_may_be_in_any_encoding(self, fhir: Fhir):
        """RFC 9110 5.5: what a server does not read is none of its business."""
        response = await fhir.send("POST", "Patient", patient(), {"X-Name": "Zürich".encode("latin-1")})
        assert response.status_code == 201

    @pytest.mark.parametrize("query", ["identifier=S|1", "foo=bar", "_id=1"])
    async def test_criteria_in_the_url_are_400(self, fhir: Fhir, query: str):
        """#create has no parameters: who writes criteria there, as for an update, means If-None-Exist."""
        value = unique()
        body = patient(identifier=identifier(value))
        problem(await fhir.post(f"Patient?{query}", body), 400)
        items = success(await fhir.bundle("batch", entry("POST", f"Patient?{query}", body)), 200)["entry"]
        assert statuses(items) == [400]
        assert await fhir.found(f"Patient?identifier={value}") == []
        assert (await fhir.post("Patient?_format=json&_pretty=true", body)).status_code == 201

    async def test_several_matches_are_412(self, fhir: Fhir):
        """Multiple matches: 412, the criteria were not selective enough."""
        value, made = await several(fhir, 2)
        problem(
            await fhir.post("Patient", patient(identifier=identifier(value)), if_none_exist=f"identifier={value}"), 412
        )
        assert sorted(await fhir.found(f"Patient?identifier={value}")) == sorted(one["id"] for one in made)

    async def test_a_deleted_resource_does_not_match(self, fhir: Fhir):
        """search.html: deleted resources are not found."""
        value, (made,) = await several(fhir, 1)
        await fhir.delete(f"Patient/{made['id']}")
        response = await fhir.post(
            "Patient", patient(identifier=identifier(value)), if_none_exist=f"identifier={value}"
        )
        assert success(response, 201)["id"] != made["id"]

    async def test_criteria_may_be_encoded_and_several(self, fhir: Fhir):
        """#ccreate: the header holds what stands after the question mark of a search."""
        _, (subject,) = await several(fhir, 1)
        made = await fhir.created(observation(subject=reference(subject)))
        criteria = f"subject=Patient%2F{subject['id']}&code=http%3A%2F%2Floinc.org%7C8867-4"
        response = await fhir.post("Observation", observation(), if_none_exist=criteria)
        assert success(response, 200)["id"] == made["id"]
        other = await fhir.post("Observation", observation(), if_none_exist=criteria.replace("8867-4", "8867-5"))
        assert other.status_code == 201

    async def test_minimal_has_no_body(self, fhir: Fhir):
        """#ops: return=minimal holds for a match too."""
        value, _ = await several(fhir, 1)
        response = await fhir.post("Patient", patient(), if_none_exist=f"identifier={value}", prefer="return=minimal")
        assert (response.status_code, response.content) == (200, b"")


class TestUpdate:
    """#cond-update: PUT [base]/[type]?criteria."""

    async def test_no_match_without_id_creates(self, fhir: Fhir):
        """No matches, no id provided: the server creates the resource."""
        value = unique()
        response = await fhir.put(f"Patient?identifier={value}", patient(identifier=identifier(value)))
        assert response.status_code == 201
        assert response.headers["location"].startswith(f"{fhir.base}/Patient/")
        assert len(await fhir.found(f"Patient?identifier={value}")) == 1

    async def test_no_match_with_an_unused_id_creates_under_it(self, fhir: Fhir):
        """No matches, id provided and not used: an update as create."""
        value, new = unique(), unique()
        response = await fhir.put(f"Patient?identifier={value}", patient(id=new, identifier=identifier(value)))
        assert success(response, 201)["id"] == new

    async def test_no_match_with_a_used_id_is_refused(self, fhir: Fhir):
        """No matches, id provided and already in use: 409 (or 412), and the other resource stays."""
        _, made = await several(fhir, 1)
        value = unique()
        body = patient(id=made[0]["id"], identifier=identifier(value))
        problem(await fhir.put(f"Patient?identifier={value}", body), 409, 412)
        assert await untouched(fhir, made)

    @pytest.mark.parametrize("with_id", [True, False])
    async def test_one_match_is_updated(self, fhir: Fhir, with_id: bool):
        """One match, no id provided or the same: the server updates the match."""
        value, (made,) = await several(fhir, 1)
        body = patient(identifier=identifier(value), gender="other") | ({"id": made["id"]} if with_id else {})
        response = await fhir.put(f"Patient?identifier={value}", body)
        now = success(response, 200)
        assert (now["id"], now["gender"]) == (made["id"], "other")
        assert response.headers["etag"] == etag(2)

    async def test_one_match_with_another_id_is_400(self, fhir: Fhir):
        """One match, id provided but does not match: 400."""
        value, made = await several(fhir, 1)
        problem(await fhir.put(f"Patient?identifier={value}", patient(id=unique(), identifier=identifier(value))), 400)
        assert await untouched(fhir, made)

    async def test_several_matches_are_412(self, fhir: Fhir):
        """Multiple matches: 412."""
        value, made = await several(fhir, 2)
        problem(await fhir.put(f"Patient?identifier={value}", patient(gender="other")), 412)
        assert await untouched(fhir, made)

    async def test_the_same_content_makes_no_version(self, fhir: Fhir):
        """An update that changes nothing answers 200 with the current ETag."""
        value, (made,) = await several(fhir, 1)
        response = await fhir.put(f"Patient?identifier={value}", patient(identifier=identifier(value), active=True))
        assert success(response, 200) == made

    async def test_if_match_holds_for_the_match(self, fhir: Fhir):
        """#concurrency: a condition on the version applies to what was found."""
        value, made = await several(fhir, 1)
        body = patient(identifier=identifier(value), gender="other")
        problem(await fhir.put(f"Patient?identifier={value}", body, if_match=etag(7)), 412)
        assert await untouched(fhir, made)


class TestPatch:
    """#patch: conditional patch."""

    async def test_one_match_is_patched(self, fhir: Fhir):
        """One match: the server patches it."""
        value, (made,) = await several(fhir, 1)
        now = success(await fhir.patch(f"Patient?identifier={value}", OPERATIONS), 200)
        assert (now["id"], now["active"], now["meta"]["versionId"]) == (made["id"], False, "2")

    async def test_no_match_is_404(self, fhir: Fhir):
        """No matches: 404."""
        problem(await fhir.patch(f"Patient?identifier={unique()}", OPERATIONS), 404)

    async def test_several_matches_are_412(self, fhir: Fhir):
        """Multiple matches: 412."""
        value, made = await several(fhir, 2)
        problem(await fhir.patch(f"Patient?identifier={value}", OPERATIONS), 412)
        assert await untouched(fhir, made)


class TestDelete:
    """#3.1.0.7.1: conditional delete."""

    async def test_one_match_is_deleted(self, fhir: Fhir):
        """One match: an ordinary delete."""
        value, (made,) = await several(fhir, 1)
        assert (await fhir.delete(f"Patient?identifier={value}")).status_code == 204
        problem(await fhir.get(f"Patient/{made['id']}"), 410)

    async def test_no_match_has_no_effect(self, fhir: Fhir):
        """No matches: like the delete of nothing."""
        assert (await fhir.delete(f"Patient?identifier={unique()}")).status_code == 204

    async def test_several_matches_are_412_and_none_is_deleted(self, fhir: Fhir):
        """Multiple matches: 412 where the server deletes a single one only."""
        value, made = await several(fhir, 2)
        problem(await fhir.delete(f"Patient?identifier={value}"), 412)
        assert await untouched(fhir, made)

    async def test_a_token_with_its_system_picks_one(self, fhir: Fhir):
        """search.html#token: the criteria are those of search."""
        value, (made,) = await several(fhir, 1)
        assert (await fhir.delete(f"Patient?identifier=urn:other|{value}")).status_code == 204
        assert await untouched(fhir, [made])
        assert (await fhir.delete(f"Patient?identifier={SYSTEM}%7C{value}")).status_code == 204
        problem(await fhir.get(f"Patient/{made['id']}"), 410)


Interaction = Callable[[Fhir, str, str], Awaitable[httpx.Response]]


async def create(fhir: Fhir, criteria: str, prefer: str) -> httpx.Response:
    return await fhir.post("Patient", patient(gender="other"), if_none_exist=criteria, prefer=prefer)


async def update(fhir: Fhir, criteria: str, prefer: str) -> httpx.Response:
    return await fhir.put(f"Patient?{criteria}", patient(gender="other"), prefer=prefer)


async def patch(fhir: Fhir, criteria: str, prefer: str) -> httpx.Response:
    return await fhir.patch(f"Patient?{criteria}", OPERATIONS, prefer=prefer)


async def delete(fhir: Fhir, criteria: str, prefer: str) -> httpx.Response:
    return await fhir.delete(f"Patient?{criteria}", prefer=prefer)


EVERY = pytest.mark.parametrize("interaction", [create, update, patch, delete], ids=lambda f: f.__name__)
NO_CONDITION = [
    "",
    "_sort=family",
    "_count=1",
    "_format=json",
    "_total=none",
    "identifier=",
    "_summary=count",
    "&",
    "_pretty=true",
]


@EVERY
@pytest.mark.parametrize("criteria", NO_CONDITION)
async def test_criteria_that_select_nothing_are_400(fhir: Fhir, interaction: Interaction, criteria: str):
    """Criteria without a condition must never be read as "all"; two patients stand by that would show it."""
    _, made = await several(fhir, 2)
    problem(await interaction(fhir, criteria, "return=representation"), 400)
    assert await untouched(fhir, made)


@EVERY
@pytest.mark.parametrize("prefer", ["handling=strict", "handling=lenient"])
@pytest.mark.parametrize("extra", ["banana=1", "identifier:banana=1", "birthdate=tomorrow", "_lastUpdated=x"])
async def test_criteria_that_cannot_be_understood_are_400(
    fhir: Fhir, interaction: Interaction, prefer: str, extra: str
):
    """Conditional interactions are always strict: an ignored condition would touch the wrong resource."""
    value, made = await several(fhir, 1)
    problem(await interaction(fhir, f"identifier={value}&{extra}", prefer), 400)
    assert await untouched(fhir, made)


@EVERY
@pytest.mark.parametrize(
    "extra", ["gender=", "gender", "gender:not=", "birthdate=,", "_id=%20", "banana=", "=", "_sort="]
)
async def test_criteria_with_a_blank_value_are_400(fhir: Fhir, interaction: Interaction, extra: str):
    """What is left without the blank condition would touch another resource than the one that was meant."""
    value, made = await several(fhir, 1)
    for criteria in (f"identifier={value}&{extra}", f"{extra}&identifier={value}"):
        problem(await interaction(fhir, criteria, "return=representation"), 400)
    assert await untouched(fhir, made)


async def test_conditions_see_only_the_type_in_the_url(fhir: Fhir):
    """#ccreate: criteria are those of a search on the type."""
    value = unique()
    await fhir.created({"resourceType": "Practitioner", "identifier": identifier(value)})
    response = await fhir.post("Patient", patient(identifier=identifier(value)), if_none_exist=f"identifier={value}")
    assert response.status_code == 201


async def test_criteria_by_code(fhir: Fhir):
    """search.html#token: a CodeableConcept matches by any of its codings."""
    code = unique()
    made = await fhir.created(observation(code))
    response = await fhir.put(f"Observation?code=http://loinc.org|{code}", observation(code, valueString="new"))
    assert success(response, 200)["id"] == made["id"]
