"""A transaction is done whole or not at all: https://hl7.org/fhir/R4/http.html#transaction"""

from __future__ import annotations

import pytest

from tests.spec.api import (
    Fhir,
    Json,
    bundle,
    entry,
    etag,
    expressions,
    identifier,
    location,
    patient,
    problem,
    reference,
    statuses,
    unique,
    urn,
)

INVALID = patient(gender="banana")
FAILURES: dict[str, tuple[Json, set[int]]] = {
    "not R4": (entry("POST", "Patient", INVALID), {400}),
    "type and URL differ": (entry("POST", "Practitioner", patient()), {400}),
    "ids differ": (entry("PUT", "Patient/one", patient(id="two")), {400}),
    "no resource": (entry("POST", "Patient"), {400}),
    "no such type": (entry("GET", "Banana/1"), {400, 404}),
    "no such resource": (entry("GET", "Patient/does-not-exist"), {404}),
    "reference to nothing": (
        entry("POST", "Patient", patient(generalPractitioner=[reference("Practitioner/does-not-exist")])),
        {409},
    ),
    "urn to nothing": (entry("POST", "Patient", patient(generalPractitioner=[reference(urn())])), {400, 404, 409, 422}),
    "stale": (entry("PUT", "Patient/does-not-exist", patient(id="does-not-exist"), ifMatch=etag(3)), {404, 412}),
    "bad criteria": (entry("POST", "Patient", patient(), ifNoneExist="banana=1"), {400}),
    "no criteria": (entry("DELETE", "Patient"), {400}),
    "bad search": (entry("GET", "Patient?birthdate=tomorrow"), {400}),
    "method unknown": (entry("FETCH", "Patient/1"), {400}),
    "no URL": ({"request": {"method": "GET"}}, {400}),
    "no request": ({"resource": patient()}, {400}),
    "URL of another server": (entry("GET", "https://elsewhere.example.org/fhir/Patient/1"), {400, 404}),
    "climbing URL": (entry("GET", "../Patient/1"), {400, 404}),
    "unknown element": ({**entry("GET", "Patient?_id=x"), "banana": 1}, {400}),
    "patch of nothing": (entry("PATCH", "Patient/does-not-exist", {"resourceType": "Parameters"}), {400, 404, 422}),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_one_failure_fails_all(fhir: Fhir, name: str):
    """#transaction: nothing is stored, and one OperationOutcome names the entry that failed."""
    value, chosen, old = unique(), unique(), await fhir.created(patient(active=True))
    failing, expected = FAILURES[name]
    response = await fhir.bundle(
        "transaction",
        entry("POST", "Patient", patient(identifier=identifier(value)), urn()),
        entry("PUT", f"Patient/{chosen}", patient(id=chosen)),
        entry("DELETE", f"Patient/{old['id']}"),
        failing,
    )
    issues = problem(response, *expected)
    assert any("entry[3]" in text for text in expressions(issues)), issues
    assert await fhir.found(f"Patient?identifier={value}") == []
    problem(await fhir.get(f"Patient/{chosen}"), 404)
    assert await fhir.read(f"Patient/{old['id']}") == old


async def test_every_problem_of_every_entry_is_told(fhir: Fhir):
    """operationoutcome.html: the expression leads to the element inside the bundle."""
    response = await fhir.bundle(
        "transaction",
        entry("POST", "Patient", patient(gender="banana", birthDate="2020-02-30")),
        entry("POST", "Patient", patient()),
        entry("POST", "Patient", patient(active="true")),
    )
    found = expressions(problem(response, 400))
    wanted = ["entry[0].resource.gender", "entry[0].resource.birthDate", "entry[2].resource.active"]
    assert {f"Bundle.{path}" for path in wanted} <= found


async def test_every_kind_of_problem_is_told_at_once(fhir: Fhir):
    """The bundle itself, entries that cannot be understood, entries that overlap, and resources that are not R4."""
    one, full_url = unique(), urn()
    body = bundle(
        "transaction",
        [
            entry("POST", "Banana", patient(gender="x")),
            entry("POST", "Patient", patient(active="true"), full_url) | {"foo": 1},
            entry("PUT", f"Patient/{one}", patient(id=one)),
            entry("PUT", f"Patient/{one}", patient(id=one, birthDate="2020-02-30")),
            {"fullUrl": full_url, "resource": patient(deceasedBoolean=1)},
        ],
    )
    found = expressions(problem(await fhir.post("", body | {"timestamp": "banana"}), 400))
    assert found == {
        "Bundle.timestamp",
        "Bundle.entry[0].request.url",
        "Bundle.entry[0].resource.gender",
        "Bundle.entry[1].foo",
        "Bundle.entry[1].resource.active",
        "Bundle.entry[3].request.url",
        "Bundle.entry[3].resource.birthDate",
        "Bundle.entry[4].request",
        "Bundle.entry[4].fullUrl",
        "Bundle.entry[4].resource.deceasedBoolean",
    }


async def test_an_entry_that_cannot_be_understood_can_be_referred_to(fhir: Fhir):
    """Only what is wrong is told: the reference to it is right."""
    full_url = urn()
    issues = problem(
        await fhir.bundle(
            "transaction",
            {"fullUrl": full_url, "resource": {"resourceType": "Practitioner"}},
            entry("POST", "Patient", patient(generalPractitioner=[reference(full_url)])),
        ),
        400,
    )
    assert expressions(issues) == {"Bundle.entry[0].request"}


async def test_what_is_not_r4_is_400_before_any_rule_is_asked(fhir: Fhir):
    """Of several statuses the answer has the first that a client can do something about."""
    chosen = unique()
    shortened = patient(id=chosen, meta={"tag": [{"system": SUBSETTED, "code": "SUBSETTED"}]})
    issues = problem(
        await fhir.bundle(
            "transaction",
            entry("PUT", f"Patient/{chosen}", shortened),
            entry("PUT", f"Patient?identifier={unique()}", patient(gender="x")),
        ),
        400,
    )
    assert "Bundle.entry[1].resource.gender" in expressions(issues)
    assert any("entry[0]" in place for place in expressions(issues))


SUBSETTED = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
SAME = unique()
TWICE: dict[str, list[Json]] = {
    "put and put": [
        entry("PUT", f"Patient/{SAME}", patient(id=SAME)),
        entry("PUT", f"Patient/{SAME}", patient(id=SAME, active=True)),
    ],
    "put and delete": [entry("PUT", f"Patient/{SAME}", patient(id=SAME)), entry("DELETE", f"Patient/{SAME}")],
    "delete and patch": [
        entry("DELETE", f"Patient/{SAME}"),
        entry("PATCH", f"Patient/{SAME}", {"resourceType": "Parameters"}),
    ],
}


@pytest.mark.parametrize("name", TWICE)
async def test_the_same_resource_twice_is_400(fhir: Fhir, name: str):
    """#trules: if any resource identities overlap in DELETE, POST, PUT and PATCH, the transaction fails."""
    problem(await fhir.bundle("transaction", *TWICE[name]), 400)
    problem(await fhir.get(f"Patient/{SAME}"), 404)


async def test_the_same_resource_twice_by_criteria_fails(fhir: Fhir):
    """#trules: conditional identities count too."""
    value = unique()
    old = await fhir.created(patient(identifier=identifier(value), active=True))
    body = patient(identifier=identifier(value))
    response = await fhir.bundle(
        "transaction",
        entry("PUT", f"Patient?identifier={value}", body | {"gender": "other"}),
        entry("PUT", f"Patient/{old['id']}", body | {"id": old["id"], "gender": "female"}),
    )
    problem(response, 400, 409, 412)
    assert await fhir.read(f"Patient/{old['id']}") == old


async def test_the_same_condition_twice_never_makes_two(fhir: Fhir):
    """#trules: two creates under one condition either fail or are one resource."""
    value = unique()
    twin = entry("POST", "Patient", patient(identifier=identifier(value)), ifNoneExist=f"identifier={value}")
    response = await fhir.bundle("transaction", {**twin, "fullUrl": urn()}, {**twin, "fullUrl": urn()})
    assert response.status_code in (200, 400, 409, 412)
    assert len(await fhir.found(f"Patient?identifier={value}")) == (1 if response.status_code == 200 else 0)


SPELLINGS = [
    ("identifier={0}|{1}", "identifier={0}%7C{1}"),
    ("identifier={0}|{1}&gender=female", "gender=female&identifier={0}|{1}"),
    ("identifier=a,{0}|{1}", "identifier={0}|{1},,a"),
    ("identifier={0}|{1}&birthdate=ap1984", "birthdate=ap1984&identifier={0}|{1}"),
]


def twins(value: str) -> tuple[Json, list[tuple[str, str]]]:
    """A patient, and pairs of criteria that mean the same and match it."""
    body = patient(identifier=identifier(value), gender="female", birthDate="1984-06-12")
    system = body["identifier"][0]["system"]
    return body, [(first.format(system, value), second.format(system, value)) for first, second in SPELLINGS]


@pytest.mark.parametrize("spelling", range(len(SPELLINGS)))
async def test_creates_under_criteria_of_one_meaning_are_one(fhir: Fhir, spelling: int):
    """#trules: what the criteria mean counts, not how they are written."""
    value = unique()
    body, pairs = twins(value)
    entries = [entry("POST", "Patient", body, urn(), ifNoneExist=criteria) for criteria in pairs[spelling]]
    first, second = await fhir.transaction(*entries)
    assert location(first) == location(second)
    assert len(await fhir.found(f"Patient?identifier={value}")) == 1


@pytest.mark.parametrize("spelling", range(len(SPELLINGS)))
@pytest.mark.parametrize("exists", [False, True])
async def test_updates_by_criteria_of_one_meaning_are_400(fhir: Fhir, spelling: int, exists: bool):
    """#trules: identities overlap, also when they are those of a resource that is yet to be made."""
    value = unique()
    body, pairs = twins(value)
    before = [await fhir.created(body)] if exists else []
    entries = [entry("PUT", f"Patient?{criteria}", body | {"active": True}) for criteria in pairs[spelling]]
    problem(await fhir.bundle("transaction", *entries), 400)
    assert await fhir.found(f"Patient?identifier={value}") == [one["id"] for one in before]
    assert [await fhir.read(f"Patient/{one['id']}") for one in before] == before


@pytest.mark.parametrize("spelling", range(len(SPELLINGS)))
async def test_a_create_and_an_update_under_one_meaning_never_make_two(fhir: Fhir, spelling: int):
    """#trules: both would make what matches. Once it is there, it answers the create, and the update changes it."""
    value = unique()
    body, pairs = twins(value)
    for of_create, of_update in (pairs[spelling], reversed(pairs[spelling])):
        create = entry("POST", "Patient", body, ifNoneExist=of_create)
        update = entry("PUT", f"Patient?{of_update}", body | {"active": True})
        issues = problem(await fhir.bundle("transaction", update, create), 400)
        assert expressions(issues) == {"Bundle.entry[0].request.url"}
    assert await fhir.found(f"Patient?identifier={value}") == []
    old = await fhir.created(body)
    answers = await fhir.transaction(create, update)
    assert statuses(answers) == [200, 200]
    assert {location(answer) for answer in answers} == {f"Patient/{old['id']}"}
    assert (await fhir.read(f"Patient/{old['id']}"))["active"] is True


async def test_what_is_deleted_by_criteria_may_be_made_anew_under_them(fhir: Fhir):
    """#trules: the deleted resource and the new one are two identities."""
    value = unique()
    body, ((criteria, same), *_) = twins(value)
    old = await fhir.created(body)
    _, made = await fhir.transaction(
        entry("DELETE", f"Patient?{criteria}"), entry("POST", "Patient", body, ifNoneExist=same)
    )
    assert location(made) != f"Patient/{old['id']}"
    assert await fhir.found(f"Patient?identifier={value}") == [location(made).partition("/")[2]]
    put = entry("PUT", f"Patient?{same}", body | {"active": True})
    problem(await fhir.bundle("transaction", entry("DELETE", f"Patient?{criteria}"), put), 400)


async def test_the_same_full_url_twice_is_400(fhir: Fhir):
    """bundle.html bdl-7: a full URL is unique in a bundle."""
    full_url, value = urn(), unique()
    body = patient(identifier=identifier(value))
    problem(
        await fhir.bundle(
            "transaction", entry("POST", "Patient", body, full_url), entry("POST", "Patient", body, full_url)
        ),
        400,
    )
    assert await fhir.found(f"Patient?identifier={value}") == []


async def test_a_stale_version_fails_all_with_412(fhir: Fhir):
    """#trules: ifMatch of an entry is checked like the header."""
    value, old = unique(), await fhir.created(patient(active=True))
    response = await fhir.bundle(
        "transaction",
        entry("POST", "Patient", patient(identifier=identifier(value))),
        entry("PUT", f"Patient/{old['id']}", patient(id=old["id"]), ifMatch=etag(7)),
    )
    issues = problem(response, 412)
    assert any("entry[1]" in text for text in expressions(issues))
    assert await fhir.found(f"Patient?identifier={value}") == []
    assert await fhir.read(f"Patient/{old['id']}") == old


async def test_several_matches_of_a_condition_fail_all_with_412(fhir: Fhir):
    """#trules: ifNoneExist that finds several."""
    value = unique()
    for _ in range(2):
        await fhir.created(patient(identifier=identifier(value)))
    response = await fhir.bundle("transaction", entry("POST", "Patient", patient(), ifNoneExist=f"identifier={value}"))
    assert any("entry[0]" in text for text in expressions(problem(response, 412)))
