"""References between the entries of a transaction: https://hl7.org/fhir/R4/http.html#trules, bundle.html#references"""

from __future__ import annotations

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
    practitioner,
    problem,
    reference,
    statuses,
    unique,
    urn,
)


async def test_references_forward_backward_and_in_circles(fhir: Fhir):
    """#trules: urn:uuid full URLs become the references to what was created, in any order."""
    one, two, gp = urn(), urn(), urn()
    items = await fhir.transaction(
        entry(
            "POST",
            "Patient",
            patient(link=[{"other": reference(two), "type": "seealso"}], generalPractitioner=[reference(gp)]),
            one,
        ),
        entry("POST", "Patient", patient(link=[{"other": reference(one), "type": "seealso"}]), two),
        entry("POST", "Practitioner", practitioner(), gp),
    )
    first, second = [await fhir.read(location(item)) for item in items[:2]]
    assert first["link"][0]["other"] == reference(second)
    assert second["link"][0]["other"] == reference(first)
    assert first["generalPractitioner"] == [{"reference": location(items[2])}]


async def test_a_resource_may_refer_to_itself(fhir: Fhir):
    """#trules: the full URL of the entry itself is resolved too."""
    full_url = urn()
    (item,) = await fhir.transaction(
        entry("POST", "Patient", patient(link=[{"other": reference(full_url), "type": "seealso"}]), full_url)
    )
    made = await fhir.read(location(item))
    assert made["link"][0]["other"] == reference(made)


async def test_links_in_uri_elements_and_narrative_are_resolved(fhir: Fhir):
    """#trules: elements of type uri, url, oid and uuid, and href and src in narrative; ordinary text stays as it is."""
    full_url = urn()
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{full_url}">{full_url}</a></div>'
    body = {
        "resourceType": "Basic",
        "code": {"text": full_url},
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": full_url}],
        "text": {"status": "generated", "div": div},
        "extension": [
            {"url": "https://example.org/e", kind: full_url} for kind in ("valueUri", "valueUrl", "valueString")
        ],
    }
    target, basic = await fhir.transaction(
        entry("POST", "Patient", patient(), full_url), entry("POST", "Basic", body, urn())
    )
    made = await fhir.read(location(basic))
    uri, url, text = (next(v for k, v in item.items() if k != "url") for item in made["extension"])
    assert uri.endswith(location(target))
    assert url.endswith(location(target))
    assert (text, made["code"]["text"], made["identifier"][0]["value"]) == (full_url, full_url, full_url)
    assert f'{location(target)}">{full_url}</a>' in made["text"]["div"]


async def test_full_urls_may_be_absolute(fhir: Fhir):
    """bundle.html#references: a relative reference resolves against the full URL of its entry."""
    base = f"https://example.org/{unique()}"
    subject, absolute, relative = await fhir.transaction(
        entry("POST", "Patient", patient(), f"{base}/Patient/1"),
        entry(
            "POST",
            "Patient",
            patient(link=[{"other": reference(f"{base}/Patient/1"), "type": "seealso"}]),
            f"{base}/Patient/2",
        ),
        entry(
            "POST", "Patient", patient(link=[{"other": reference("Patient/1"), "type": "seealso"}]), f"{base}/Patient/3"
        ),
    )
    for item in (absolute, relative):
        assert (await fhir.read(location(item)))["link"][0]["other"] == {"reference": location(subject)}


async def test_references_to_other_servers_and_contained_resources_stay(fhir: Fhir):
    """references.html#contained: only what the bundle itself holds is rewritten."""
    elsewhere = "https://elsewhere.example.org/fhir/Practitioner/1"
    contained = practitioner(id="gp")
    body = patient(contained=[contained], generalPractitioner=[reference("#gp"), reference(elsewhere)])
    (item,) = await fhir.transaction(entry("POST", "Patient", body, urn()))
    made = await fhir.read(location(item))
    assert made["contained"] == [contained]
    assert made["generalPractitioner"] == [reference("#gp"), reference(elsewhere)]


async def test_references_inside_contained_resources_are_resolved(fhir: Fhir):
    """#trules: every reference in the resource, contained ones included."""
    full_url = urn()
    contained = {"resourceType": "PractitionerRole", "id": "role", "practitioner": reference(full_url)}
    gp, item = await fhir.transaction(
        entry("POST", "Practitioner", practitioner(), full_url),
        entry("POST", "Patient", patient(contained=[contained], generalPractitioner=[reference("#role")]), urn()),
    )
    assert (await fhir.read(location(item)))["contained"][0]["practitioner"] == {"reference": location(gp)}


async def test_a_put_entry_may_be_referred_to_by_its_urn(fhir: Fhir):
    """#trules: the id of a PUT is that of its URL."""
    full_url, chosen = urn(), unique()
    _, item = await fhir.transaction(
        entry("PUT", f"Patient/{chosen}", patient(id=chosen), full_url),
        entry("POST", "Patient", patient(link=[{"other": reference(full_url), "type": "seealso"}]), urn()),
    )
    assert (await fhir.read(location(item)))["link"][0]["other"] == reference(f"Patient/{chosen}")


async def test_a_conditional_create_that_matches_is_referred_to(fhir: Fhir):
    """#trules: references to an entry whose ifNoneExist matched point to what exists."""
    value, full_url = unique(), urn()
    old = await fhir.created(practitioner(identifier=identifier(value)))
    matched, item = await fhir.transaction(
        entry("POST", "Practitioner", practitioner(), full_url, ifNoneExist=f"identifier={value}"),
        entry("POST", "Patient", patient(generalPractitioner=[reference(full_url)]), urn()),
    )
    assert matched["response"]["status"].startswith("200")
    assert location(matched) == f"Practitioner/{old['id']}"
    assert (await fhir.read(location(item)))["generalPractitioner"] == [reference(old)]


async def test_a_conditional_update_is_referred_to(fhir: Fhir):
    """#trules: the same holds for PUT with criteria, whether it updates or creates."""
    value, full_url, other = unique(), urn(), urn()
    old = await fhir.created(practitioner(identifier=identifier(value)))
    updated, created, item = await fhir.transaction(
        entry(
            "PUT", f"Practitioner?identifier={value}", practitioner(identifier=identifier(value), active=True), full_url
        ),
        entry("PUT", f"Practitioner?identifier={unique()}", practitioner(), other),
        entry("POST", "Patient", patient(generalPractitioner=[reference(full_url), reference(other)]), urn()),
    )
    assert statuses([updated, created]) == [200, 201]
    now = await fhir.read(location(item))
    assert now["generalPractitioner"] == [reference(old), {"reference": location(created)}]


async def test_conditional_references_become_literal(fhir: Fhir):
    """#trules: a search URI in Reference.reference that finds exactly one resource."""
    value = unique()
    gp = await fhir.created(practitioner(identifier=identifier(value)))
    system = identifier(value)[0]["system"]
    urls = [f"Practitioner?identifier={value}", f"Practitioner?identifier={system}|{value}"]
    (item,) = await fhir.transaction(
        entry("POST", "Patient", patient(generalPractitioner=[reference(u) for u in urls]), urn())
    )
    assert (await fhir.read(location(item)))["generalPractitioner"] == [reference(gp), reference(gp)]


@pytest.mark.parametrize("count", [0, 2])
async def test_a_conditional_reference_without_one_match_fails(fhir: Fhir, count: int):
    """#trules: no match or several fail the transaction."""
    value = unique()
    for _ in range(count):
        await fhir.created(practitioner(identifier=identifier(value)))
    body = patient(identifier=identifier(value), generalPractitioner=[reference(f"Practitioner?identifier={value}")])
    response = await fhir.bundle("transaction", entry("POST", "Patient", patient()), entry("POST", "Patient", body))
    issues = problem(response, 400, 404, 409, 412, 422)
    assert any("Bundle.entry[1]" in text for text in expressions(issues))
    assert await fhir.found(f"Patient?identifier={value}") == []


async def test_conditional_references_of_several_forms_are_each_found(fhir: Fhir):
    """#trules: every search parameter may be used, also by two references with the same parameter."""
    first, second = unique(), unique()
    one = await fhir.created(patient(identifier=identifier(first)))
    two = await fhir.created(patient(identifier=identifier(second)))
    encounter = {"resourceType": "Encounter", "status": "planned", "class": {"code": "AMB"}}
    seen = await fhir.created(encounter | {"subject": {"reference": f"Patient/{one['id']}"}})
    weight = {"resourceType": "Observation", "status": "final", "code": {"text": "weight"}}
    links = {
        "subject": {"reference": f"Patient?identifier={first}"},
        "encounter": {"reference": f"Encounter?subject={one['id']}"},
    }
    made, other = await fhir.transaction(
        entry("POST", "Observation", weight | links),
        entry("POST", "Observation", weight | {"subject": {"reference": f"Patient?identifier={second}"}}),
    )
    stored = await fhir.read(location(made))
    assert stored["subject"]["reference"] == f"Patient/{one['id']}"
    assert stored["encounter"]["reference"] == f"Encounter/{seen['id']}"
    assert (await fhir.read(location(other)))["subject"]["reference"] == f"Patient/{two['id']}"


def seen_by(*criteria: str) -> Json:
    """The entry of an observation whose performers are searches for practitioners."""
    return entry("POST", "Observation", observation(performer=[reference(f"Practitioner?{one}") for one in criteria]))


async def performers(fhir: Fhir, item: Json) -> list[str]:
    return [one["reference"] for one in (await fhir.read(location(item)))["performer"]]


async def test_conditional_references_find_what_the_transaction_creates(fhir: Fhir):
    """#trules: they are resolved last. Sent again, the same transaction says the same."""
    value = unique()
    body = practitioner(identifier=identifier(value), active=True)
    system = body["identifier"][0]["system"]
    twin = entry("POST", "Practitioner", body, ifNoneExist=f"identifier={system}|{value}")
    others = [entry("POST", "Practitioner", practitioner(identifier=identifier(unique()), active=True))]
    criteria = [
        f"identifier={system}|{value}",
        f"identifier={value}",
        f"identifier={unique()},{value}&active=true",
        f"identifier=|{value},{system}%7C{value}",
    ]
    item, made, same, *_ = await fhir.transaction(seen_by(*criteria), twin, twin, *others)
    assert location(made) == location(same)
    assert await performers(fhir, item) == [location(made)] * len(criteria)
    again, found, *_ = await fhir.transaction(seen_by(*criteria), twin)
    assert (location(found), await performers(fhir, again)) == (location(made), [location(made)] * len(criteria))
    problem(await fhir.delete(location(made)), 409)


async def test_conditional_references_find_what_the_transaction_makes_of_a_resource(fhir: Fhir):
    """#trules: what it replaces or deletes is no longer found as it was."""
    before, after, gone = unique(), unique(), unique()
    old = await fhir.created(practitioner(identifier=identifier(before)))
    other = await fhir.created(practitioner(identifier=identifier(gone)))
    put = entry("PUT", f"Practitioner/{old['id']}", practitioner(id=old["id"], identifier=identifier(after)))
    anew = [
        entry("DELETE", f"Practitioner/{other['id']}"),
        entry("POST", "Practitioner", practitioner(identifier=identifier(gone))),
    ]
    problem(await fhir.bundle("transaction", put, seen_by(f"identifier={before}")), 412)
    problem(await fhir.bundle("transaction", anew[0], seen_by(f"identifier={gone}")), 412)
    item, _, _, made = await fhir.transaction(seen_by(f"identifier={after}", f"identifier={gone}"), put, *anew)
    assert await performers(fhir, item) == [f"Practitioner/{old['id']}", location(made)]


@pytest.mark.parametrize("stored", [0, 1])
async def test_a_conditional_reference_to_several_of_the_transaction_fails(fhir: Fhir, stored: int):
    value = unique()
    body = practitioner(identifier=identifier(value))
    for _ in range(stored):
        await fhir.created(body)
    creates = [entry("POST", "Practitioner", body) for _ in range(2 - stored)]
    issues = problem(await fhir.bundle("transaction", *creates, seen_by(f"identifier={value}")), 412)
    assert [issue["code"] for issue in issues] == ["multiple-matches"]
    assert len(await fhir.found(f"Practitioner?identifier={value}")) == stored


async def test_conditions_other_than_tokens_find_what_is_stored_and_say_so(fhir: Fhir):
    """What a transaction writes is not stored while its references are resolved."""
    name = f"X{unique()}"
    body = practitioner(name=[{"family": name}])
    create = entry("POST", "Practitioner", body)
    (issue,) = problem(await fhir.bundle("transaction", create, seen_by(f"family={name}")), 412)
    assert "tokens" in issue["diagnostics"]
    made = await fhir.created(body)
    put = entry("PUT", f"Practitioner/{made['id']}", body | {"id": made["id"], "active": True})
    _, item = await fhir.transaction(put, seen_by(f"family={name}"))
    assert await performers(fhir, item) == [f"Practitioner/{made['id']}"]


async def test_a_canonical_is_not_a_link(fhir: Fhir):
    """#trules: uri, url, oid and uuid elements are replaced; elements of type canonical are not."""
    full_url = urn()
    plan = {"resourceType": "PlanDefinition", "status": "draft", "url": full_url, "library": [full_url]}
    made, item = await fhir.transaction(
        entry("POST", "PlanDefinition", plan), entry("POST", "Patient", patient(), full_url)
    )
    stored = await fhir.read(location(made))
    assert stored["url"] == "/".join(location(item).split("/")[:2])
    assert stored["library"] == [full_url]


async def test_what_is_not_written_needs_no_references(fhir: Fhir):
    """#trules: a conditional create that finds its resource stores nothing, so nothing in it has to be found."""
    value = unique()
    old = await fhir.created(patient(identifier=identifier(value)))
    body = patient(identifier=identifier(value), generalPractitioner=[reference(f"Practitioner?identifier={unique()}")])
    (item,) = await fhir.transaction(entry("POST", "Patient", body, ifNoneExist=f"identifier={value}"))
    assert statuses([item]) == [200]
    assert location(item).startswith(f"Patient/{old['id']}")
