"""CapabilityStatement.rest.resource.referencePolicy `enforced`: https://hl7.org/fhir/R4/valueset-reference-handling-policy.html"""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.spec.api import (
    Fhir,
    Json,
    entry,
    expressions,
    identifier,
    location,
    observation,
    patient,
    problem,
    reference,
    success,
    unique,
    urn,
)


async def test_a_reference_to_nothing_is_409(fhir: Fhir):
    """#create: 409 where a literal reference leads to a resource that is not on this server."""
    code = unique()
    issues = problem(
        await fhir.post("Observation", observation(code, subject=reference("Patient/does-not-exist"))), 409
    )
    assert expressions(issues) & {"Observation.subject", "Observation.subject.reference"}
    assert await fhir.found(f"Observation?code={code}") == []


async def test_every_reference_counts(fhir: Fhir):
    """#create: in lists, in extensions and in contained resources; search parameters do not matter."""
    nothing = reference("Practitioner/does-not-exist")
    role = {"resourceType": "PractitionerRole", "id": "r", "practitioner": nothing}
    for body in (
        patient(generalPractitioner=[nothing]),
        patient(extension=[{"url": "https://example.org/e", "valueReference": nothing}]),
        patient(contained=[role], generalPractitioner=[reference("#r")]),
        patient(
            communication=[
                {"language": {"text": "x"}, "extension": [{"url": "https://example.org/e", "valueReference": nothing}]}
            ]
        ),
    ):
        problem(await fhir.post("Patient", body), 409)


@pytest.mark.parametrize(("kind", "to"), [("", "Patient/nope-"), ("transaction", "urn:uuid:nope-")])
async def test_thousands_of_references_to_nothing_are_told_soon(fhir: Fhir, kind: str, to: str):
    """A server that looks for each of them anew would be busy for a minute, and answer nobody else."""
    items = [{"item": reference(f"{to}{n}")} for n in range(8000)]
    body = {"resourceType": "List", "status": "current", "mode": "working", "entry": items}
    began = time.perf_counter()
    response = await (fhir.bundle(kind, entry("POST", "List", body)) if kind else fhir.post("List", body))
    assert time.perf_counter() - began < 5
    issues = problem(response, 400, 409)
    root = "Bundle.entry[0].resource" if kind else "List"
    assert [issue["expression"] for issue in issues] == [[f"{root}.entry[{n}].item.reference"] for n in range(1000)]


async def test_a_transaction_tells_no_more_references_than_a_resource(fhir: Fhir):
    """The limit is that of a whole answer."""
    items = [{"item": reference(urn())} for _ in range(600)]
    body = {"resourceType": "List", "status": "current", "mode": "working", "entry": items}
    assert len(problem(await fhir.bundle("transaction", *[entry("POST", "List", body)] * 3), 400)) == 1000


@pytest.mark.parametrize("interaction", ["update", "update as create", "patch"])
async def test_every_write_is_checked(fhir: Fhir, interaction: str):
    """#update, #patch: 409, and nothing changes."""
    made = await fhir.created(patient())
    broken = [reference("Practitioner/does-not-exist")]
    path = f"Patient/{made['id'] if interaction != 'update as create' else unique()}"
    if interaction == "patch":
        response = await fhir.patch(path, [{"op": "add", "path": "/generalPractitioner", "value": broken}])
    else:
        response = await fhir.put(path, patient(id=path.split("/")[1], generalPractitioner=broken))
    problem(response, 409)
    assert (await fhir.get(path)).status_code == (404 if interaction == "update as create" else 200)
    assert await fhir.read(f"Patient/{made['id']}") == made


async def test_a_reference_to_a_deleted_resource_is_409(fhir: Fhir):
    """#delete: what is deleted is not there."""
    made = await fhir.created(patient())
    await fhir.delete(f"Patient/{made['id']}")
    problem(await fhir.post("Observation", observation(subject=reference(made))), 409)


async def test_an_absolute_reference_to_this_server_is_local(fhir: Fhir):
    """references.html#literal: [base]/Type/id is the same resource as Type/id."""
    problem(await fhir.post("Observation", observation(subject=reference(f"{fhir.base}/Patient/does-not-exist"))), 409)
    made = await fhir.created(patient())
    subject = reference(f"{fhir.base}/Patient/{made['id']}")
    stored = await fhir.created(observation(subject=subject))
    assert stored["subject"] == subject
    problem(await fhir.delete(f"Patient/{made['id']}"), 409)


def other_case(base: str) -> str:
    scheme, _, rest = base.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.upper()}://{host.upper()}{slash}{path}"


SPELLINGS = {
    "fragment": lambda base, name: f"{name}#x",
    "long fragment": lambda base, name: f"{name}#{'x' * 1000}",
    "blank fragment": lambda base, name: f"{name}#",
    "leading slash": lambda base, name: f"/{name}",
    "trailing slash": lambda base, name: f"{name}/",
    "absolute with a fragment": lambda base, name: f"{base}/{name}#x",
    "absolute with a trailing slash": lambda base, name: f"{base}/{name}/",
    "scheme and host in another case": lambda base, name: f"{other_case(base)}/{name}",
    "all at once": lambda base, name: f"{other_case(base)}/{name}/#x",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_local_reference_is_local_however_it_is_written(fhir: Fhir, spelling: str):
    """references.html#literal: a fragment is within what is referred to; RFC 3986 §6.2.2.1; `/[type]/[id]`."""
    written = SPELLINGS[spelling]
    missing = observation(subject=reference(written(fhir.base, "Patient/does-not-exist")))
    issues = problem(await fhir.post("Observation", missing), 409)
    assert expressions(issues) == {"Observation.subject.reference"}
    made = await fhir.created(patient())
    name = f"Patient/{made['id']}"
    subject = reference(written(fhir.base, name))
    stored = await fhir.created(observation(subject=subject))
    assert stored["subject"] == subject
    for query in (f"subject={name}", f"patient={made['id']}", f"subject:Patient._id={made['id']}"):
        assert await fhir.found(f"Observation?{query}") == [stored["id"]]
    problem(await fhir.delete(name), 409)
    wrong = observation(subject=reference(written(fhir.base, "Medication/does-not-exist")))
    problem(await fhir.post("Observation", wrong), 400)


async def test_a_versioned_reference_with_a_fragment_blocks_no_delete(fhir: Fhir):
    """#delete: that version stays."""
    made = await fhir.created(patient())
    await fhir.created(observation(subject=reference(f"Patient/{made['id']}/_history/1#x")))
    assert (await fhir.delete(f"Patient/{made['id']}")).status_code == 204


ELSEWHERE = [
    "https://elsewhere.example.org/fhir/Patient/1",
    "http://elsewhere.example.org/Patient/1/_history/2",
    "https://elsewhere.example.org/anything",
    "https://elsewhere.example.org/fhir/Patient/1#x",
    "https://elsewhere.example.org/fhir/Patient/1/",
    "//elsewhere.example.org/Patient/1",
    "urn:uuid:00000000-0000-4000-8000-000000000001",
    "urn:oid:1.2.3",
]


@pytest.mark.parametrize("target", ELSEWHERE)
async def test_references_to_other_places_are_kept_as_they_are(fhir: Fhir, target: str):
    """references.html#literal: this server cannot know what others hold."""
    made = await fhir.created(observation(subject=reference(target)))
    assert (await fhir.read(f"Observation/{made['id']}"))["subject"] == reference(target)


async def test_logical_references_are_not_checked(fhir: Fhir):
    """references.html#logical: an identifier names what may not exist as a resource."""
    await fhir.created(observation(subject={"identifier": identifier(unique())[0], "display": "someone"}))


async def test_the_delete_of_a_referenced_resource_is_409(fhir: Fhir):
    """#delete: 409 where the server refuses for reasons of referential integrity."""
    made = await fhir.created(patient())
    referring = await fhir.created(observation(subject=reference(made)))
    problem(await fhir.delete(f"Patient/{made['id']}"), 409, code="conflict")
    assert await fhir.read(f"Patient/{made['id']}") == made
    assert (await fhir.delete(f"Observation/{referring['id']}")).status_code == 204
    assert (await fhir.delete(f"Patient/{made['id']}")).status_code == 204


async def test_references_that_no_parameter_covers_block_a_delete_too(fhir: Fhir):
    """#delete: an extension, or a contained resource, refers like any element."""
    made = await fhir.created(patient())
    await fhir.created(
        {
            "resourceType": "Basic",
            "code": {"text": "x"},
            "extension": [{"url": "https://example.org/e", "valueReference": reference(made)}],
        }
    )
    problem(await fhir.delete(f"Patient/{made['id']}"), 409)


async def test_the_latest_version_decides(fhir: Fhir):
    """#delete: what an older version referred to blocks nothing."""
    made = await fhir.created(patient())
    referring = await fhir.created(observation(subject=reference(made)))
    await fhir.replaced(observation() | {"id": referring["id"]})
    assert (await fhir.delete(f"Patient/{made['id']}")).status_code == 204


async def test_references_inside_a_message_do_not_count(fhir: Fhir):
    """bundle.html#references: what a stored Bundle or Parameters holds is a message, and no record of this server."""
    made = await fhir.created(patient())
    inner = [observation(subject=reference(target)) for target in (made, "Patient/does-not-exist")]
    await fhir.created({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in inner]})
    named = [{"name": "x", "resource": one} for one in inner]
    await fhir.created({"resourceType": "Parameters", "parameter": named})
    assert (await fhir.delete(f"Patient/{made['id']}")).status_code == 204


async def test_a_reference_to_itself_blocks_nothing(fhir: Fhir):
    """#delete: with the resource the reference is gone too."""
    chosen = unique()
    await fhir.replaced(patient(id=chosen, link=[{"other": reference(f"Patient/{chosen}"), "type": "seealso"}]))
    assert (await fhir.delete(f"Patient/{chosen}")).status_code == 204


def provenance(target: Json) -> Json:
    agent = {"who": {"display": "someone"}}
    return {
        "resourceType": "Provenance",
        "target": [reference(target)],
        "recorded": "2026-01-01T00:00:00Z",
        "agent": [agent],
    }


def audit_event(target: Json) -> Json:
    return {
        "resourceType": "AuditEvent",
        "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
        "recorded": "2026-01-01T00:00:00Z",
        "agent": [{"requestor": True}],
        "source": {"observer": {"display": "here"}},
        "entity": [{"what": reference(target)}],
    }


def versioned(target: Json) -> Json:
    return observation(subject=reference(f"Patient/{target['id']}/_history/1"))


@pytest.mark.parametrize("referring", [provenance, audit_event, versioned], ids=lambda f: f.__name__)
async def test_records_of_the_past_block_no_delete(fhir: Fhir, referring: Any):
    """provenance.html: Provenance, AuditEvent and versioned references tell of a state that stays readable."""
    made = await fhir.created(patient())
    record = await fhir.created(referring(made))
    assert (await fhir.delete(f"Patient/{made['id']}")).status_code == 204
    assert (await fhir.get(f"Patient/{made['id']}/_history/1")).status_code == 200
    assert await fhir.read(f"{record['resourceType']}/{record['id']}") == record


async def test_conditional_and_bundled_deletes_are_checked(fhir: Fhir):
    """#delete: every door obeys the same rule."""
    value = unique()
    made = await fhir.created(patient(identifier=identifier(value)))
    await fhir.created(observation(subject=reference(made)))
    problem(await fhir.delete(f"Patient?identifier={value}"), 409)
    issues = problem(
        await fhir.bundle("transaction", entry("POST", "Patient", patient()), entry("DELETE", f"Patient/{made['id']}")),
        409,
    )
    assert any("entry[1]" in text for text in expressions(issues))
    batch = success(await fhir.bundle("batch", entry("DELETE", f"Patient/{made['id']}")), 200)
    assert batch["entry"][0]["response"]["status"].startswith("409")
    assert await fhir.read(f"Patient/{made['id']}") == made


async def test_a_transaction_may_delete_all_that_refer_to_one_another(fhir: Fhir):
    """#trules: only the state at the end counts."""
    made = await fhir.created(patient())
    referring = await fhir.created(observation(subject=reference(made)))
    await fhir.transaction(entry("DELETE", f"Patient/{made['id']}"), entry("DELETE", f"Observation/{referring['id']}"))
    problem(await fhir.get(f"Patient/{made['id']}"), 410)
    problem(await fhir.get(f"Observation/{referring['id']}"), 410)


async def test_a_transaction_may_delete_what_it_stops_referring_to(fhir: Fhir):
    """#trules: the reference goes away in the same transaction."""
    made = await fhir.created(patient())
    referring = await fhir.created(observation(subject=reference(made)))
    now = observation() | {"id": referring["id"]}
    await fhir.transaction(
        entry("PUT", f"Observation/{referring['id']}", now), entry("DELETE", f"Patient/{made['id']}")
    )
    problem(await fhir.get(f"Patient/{made['id']}"), 410)


async def test_a_transaction_may_not_delete_what_it_refers_to(fhir: Fhir):
    """#trules: the state at the end would be broken."""
    made = await fhir.created(patient())
    response = await fhir.bundle(
        "transaction",
        entry("DELETE", f"Patient/{made['id']}"),
        entry("POST", "Observation", observation(subject=reference(made))),
    )
    problem(response, 409)
    assert await fhir.read(f"Patient/{made['id']}") == made


async def test_a_transaction_may_refer_by_the_id_that_it_creates(fhir: Fhir):
    """#trules: a literal reference to a PUT entry of the same transaction, in either order."""
    chosen = unique()
    items = await fhir.transaction(
        entry("POST", "Observation", observation(subject=reference(f"Patient/{chosen}")), urn()),
        entry("PUT", f"Patient/{chosen}", patient(id=chosen)),
    )
    assert (await fhir.read(location(items[0])))["subject"] == reference(f"Patient/{chosen}")


async def test_it_can_be_turned_off(database: str, start_server: Any, fhir: Fhir):
    """CARELOOP_REFERENTIAL_INTEGRITY=off: references to what is missing are accepted, deletes always done."""
    own = Fhir(start_server(database, referential_integrity="off").base, fhir.http)
    missing = reference("Patient/comes-later")
    code = unique()
    made = await own.created(observation(code, subject=missing))
    assert await own.found("Observation?subject=Patient/comes-later") == [made["id"]]
    await own.replaced(patient(id="comes-later"))
    assert await own.found("Observation?subject=Patient/comes-later") == [made["id"]]
    assert (await own.delete("Patient/comes-later")).status_code == 204
    assert (await own.read(f"Observation/{made['id']}"))["subject"] == missing
    policy = (await own.read("metadata"))["rest"][0]["resource"][0].get("referencePolicy", [])
    assert "enforced" not in policy


async def test_a_wrong_type_of_target_is_400(fhir: Fhir):
    """references.html: the target has to be of a type that the element allows."""
    made = await fhir.created({"resourceType": "Practitioner"})
    issues = problem(await fhir.post("Observation", observation(subject=reference(made))), 400)
    assert any(text.startswith("Observation.subject") for text in expressions(issues))
    await fhir.created(observation(performer=[reference(made)]))
