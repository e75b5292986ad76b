"""https://hl7.org/fhir/R4/search.html#chaining"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.spec.api import (
    Fhir,
    Json,
    concept,
    identifier,
    observation,
    patient,
    practitioner,
    problem,
    reference,
    unique,
)
from tests.spec.world import World

SYSTEM = "https://example.org/chains"


def organization(**elements: Json | str | list[Json]) -> Json:
    return {"resourceType": "Organization", "name": "Clinic", **elements}


@dataclass(frozen=True)
class Targets:
    """Resources that the observations below lead to, told by label."""

    made: dict[str, Json]

    def to(self, label: str) -> Json:
        return reference(self.made[label])


@pytest.fixture(scope="module")
async def targets(fhir: Fhir) -> Targets:
    """Two patients in organizations, one of which is a part of the other, a group and a doctor."""
    made: dict[str, Json] = {}
    top = organization(name="Häuser Trust", identifier=identifier("top", SYSTEM))
    made["top"] = await fhir.created(top)
    made["ward"] = await fhir.created(organization(name="Ward", partOf=reference(made["top"])))
    made["doctor"] = await fhir.created(practitioner(name=[{"family": "Doktor", "given": ["Joe"]}]))
    typed = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}
    made["anna"] = await fhir.created(
        patient(
            name=[{"family": "Ångström", "given": ["Anna"]}],
            birthDate="1999-05-01",
            gender="female",
            identifier=[{"system": SYSTEM, "value": "anna", "type": {"coding": [typed]}}],
            managingOrganization=reference(made["ward"]),
            generalPractitioner=[reference(made["doctor"])],
            meta={"tag": [{"system": SYSTEM, "code": "anna"}]},
        )
    )
    made["berta"] = await fhir.created(
        patient(name=[{"family": "Brown"}], birthDate="2005", managingOrganization=reference(made["top"]))
    )
    group = {"resourceType": "Group", "type": "person", "actual": True, "code": concept("annas", SYSTEM)}
    made["group"] = await fhir.created(group | {"identifier": identifier("anna", SYSTEM)})
    return Targets(made)


@pytest.fixture(scope="module")
async def world(fhir: Fhir, targets: Targets) -> World:
    anna = targets.made["anna"]["id"]
    return await World.create(
        fhir,
        {
            "anna": observation(subject=targets.to("anna"), performer=[targets.to("doctor")]),
            "absolute": observation(subject=reference(f"{fhir.base}/Patient/{anna}")),
            "version": observation(subject=reference(f"Patient/{anna}/_history/1")),
            "berta": observation("1-1", subject=targets.to("berta"), performer=[targets.to("top")]),
            "group": observation(subject=targets.to("group")),
            "foreign": observation(subject=reference("https://elsewhere.example.org/Patient/1")),
            "none": observation(),
        },
    )


ANNA = {"anna", "absolute", "version"}
FOUND: list[tuple[str, set[str]]] = [
    ("subject:Patient.name=angstrom", ANNA),
    ("subject.name=angstrom", ANNA),
    ("patient.name=angstrom", ANNA),
    ("subject:Patient.name=angstrom,brown", ANNA | {"berta"}),
    ("subject:Patient.name=nobody", set()),
    ("subject:Patient.name:exact=Ångström", ANNA),
    ("subject:Patient.name:exact=angstrom", set()),
    ("subject:Patient.name:contains=gstr", ANNA),
    ("subject:Patient.birthdate=lt2000", ANNA),
    ("subject:Patient.birthdate=ge2000", {"berta"}),
    ("subject:Patient.gender:not=female", {"berta"}),
    ("subject:Patient.gender:missing=true", {"berta"}),
    ("subject:Patient.gender:missing=false", ANNA),
    (f"subject:Patient.identifier={SYSTEM}|anna", ANNA),
    (f"subject:Group.identifier={SYSTEM}|anna", {"group"}),
    (f"subject.identifier={SYSTEM}|anna", ANNA | {"group"}),
    (f"patient.identifier={SYSTEM}|anna", ANNA),
    (f"subject:Patient._tag={SYSTEM}|anna", ANNA),
    ("subject:Patient._id={anna}", ANNA),
    ("subject._id={anna}", ANNA),
    ("subject:Group._id={anna}", set()),
    ("subject:Patient._lastUpdated=gt2020", ANNA | {"berta"}),
    ("subject:Patient._lastUpdated=lt2020", set()),
    ("subject.organization.name=ward", ANNA),
    ("subject:Patient.organization.name=hauser", {"berta"}),
    ("subject:Patient.organization:Organization.partof.name=hauser", ANNA),
    ("patient.organization.partof.identifier=top", ANNA),
    ("patient.organization=Organization/{top}", {"berta"}),
    ("patient.organization:missing=true", set()),
    ("patient.general-practitioner.name=joe", ANNA),
    ("performer.name=joe", {"anna"}),
    ("performer.name=hauser", {"berta"}),
    ("performer:Practitioner.name=hauser", set()),
    ("performer.name=hauser,joe", {"anna", "berta"}),
    ("subject:Patient.name=brown&subject:Patient.birthdate=2005", {"berta"}),
    ("subject:Patient.name=brown&subject:Patient.birthdate=1999", set()),
    ("subject:Patient.name=brown&code=1-1", {"berta"}),
    ("subject:Patient._has:Observation:patient:code=1-1", {"berta"}),
    ("subject._has:Observation:subject:performer.name=joe", ANNA),
]


@pytest.mark.parametrize(("query", "labels"), FOUND)
async def test_chains(world: World, targets: Targets, query: str, labels: set[str]):
    """#chaining: one parameter of what a reference leads to, as far as there are references."""
    filled = query.format(**{label: made["id"] for label, made in targets.made.items()})
    assert await world.found("Observation", filled) == labels


async def test_a_typed_identifier_in_a_chain(world: World):
    """#token: :of-type has three parts, at the end of a chain as well."""
    system = "http://terminology.hl7.org/CodeSystem/v2-0203"
    assert await world.found("Observation", f"subject:Patient.identifier:of-type={system}|MR|anna") == ANNA
    assert await world.found("Observation", f"subject:Patient.identifier:of-type={system}|SS|anna") == set()


async def test_two_chains_may_be_true_of_different_targets(fhir: Fhir):
    """#chaining: each chain is evaluated on its own."""
    joe = await fhir.created(practitioner(name=[{"given": ["Joe"]}], address=[{"state": "CA"}]))
    jane = await fhir.created(practitioner(name=[{"given": ["Jane"]}], address=[{"state": "MN"}]))
    both = patient(generalPractitioner=[reference(joe), reference(jane)])
    world = await World.create(fhir, {"both": both, "joe": patient(generalPractitioner=[reference(joe)])})
    chains = "general-practitioner:Practitioner.name=joe&general-practitioner:Practitioner.address-state={}"
    assert await world.found("Patient", chains.format("MN")) == {"both"}
    assert await world.found("Patient", chains.format("CA")) == {"both", "joe"}


async def test_a_chain_finds_what_joining_by_hand_finds(world: World, fhir: Fhir):
    """#chaining: the same as a search for the targets and one for what refers to them."""
    tag = f"_tag={SYSTEM}|anna"
    ids = await fhir.found(f"Patient?{tag}")
    by_hand = await world.found("Observation", "subject=" + ",".join(f"Patient/{id_}" for id_ in ids))
    assert await world.found("Observation", f"subject:Patient.{tag}") >= by_hand >= ANNA


async def test_a_target_that_no_longer_matches(fhir: Fhir):
    """#chaining: the current state of a target counts; one that was deleted has none."""
    target = await fhir.created(practitioner(name=[{"family": "Before"}]))
    world = await World.create(fhir, {"it": observation(performer=[reference(target)])})
    assert await world.found("Observation", f"performer:Practitioner._id={target['id']}&performer.name=before") == {
        "it"
    }
    await fhir.replaced(target | {"name": [{"family": "After"}]})
    assert await world.found("Observation", "performer.name=before") == set()
    assert await world.found("Observation", "performer.name=after") == {"it"}


async def test_canonical_references(fhir: Fhir):
    """references.html#canonical: the url of a resource, of any version or of the one that is named."""
    url = f"https://example.org/{unique('form')}"
    form: Json = {"resourceType": "Questionnaire", "status": "active", "url": url}
    await fhir.created(form | {"version": "1", "title": "First"})
    await fhir.created(form | {"version": "2", "title": "Second"})
    answers: Json = {"resourceType": "QuestionnaireResponse", "status": "completed"}
    world = await World.create(
        fhir,
        {
            "any": answers | {"questionnaire": url},
            "first": answers | {"questionnaire": f"{url}|1"},
            "second": answers | {"questionnaire": f"{url}|2"},
            "third": answers | {"questionnaire": f"{url}|3"},
            "longer": answers | {"questionnaire": f"{url}/more"},
        },
    )
    for title, labels in {"first": {"any", "first"}, "second": {"any", "second"}, "third": set()}.items():
        assert await world.found("QuestionnaireResponse", f"questionnaire.title={title}") == labels
    assert await world.found("QuestionnaireResponse", "questionnaire:Questionnaire.status=active") == {
        "any",
        "first",
        "second",
    }


async def test_lenient_handling_leaves_out_unknown_chains_only(world: World):
    """#errors: an unknown parameter at the end of a chain is an unknown parameter."""
    page = await world.page("Observation", "subject.nonsense=x&code=1-1", prefer="handling=lenient")
    assert len([each for each in page["entry"] if each["search"]["mode"] == "match"]) == 1
    assert "nonsense" not in page["link"][0]["url"]
    wrong = await world.fhir.get("Observation?subject:Patient.birthdate=x", prefer="handling=lenient")
    problem(wrong, 400, code="invalid")


async def test_the_self_link_has_the_chain(world: World):
    """#conformance: the self link says what was used."""
    page = await world.page("Observation", "subject:Patient.name=brown")
    assert "subject%3APatient.name=brown" in page["link"][0]["url"].replace("subject:", "subject%3A")


async def test_criteria_may_have_chains(fhir: Fhir):
    """http.html#ccreate: any search parameter will do; what shapes the answer of a search means nothing there."""
    target = await fhir.created(patient(identifier=identifier(unique("known"), SYSTEM)))
    made = observation(subject=reference(target))
    chain = f"subject:Patient.identifier={SYSTEM}|{target['identifier'][0]['value']}&_count=1&_sort=-date"
    first = await fhir.post("Observation", made, if_none_exist=chain)
    again = await fhir.post("Observation", made, if_none_exist=chain)
    assert (first.status_code, again.status_code) == (201, 200)
    await fhir.created(made)
    problem(await fhir.post("Observation", made, if_none_exist=chain), 412)
    problem(await fhir.post("Observation", made, if_none_exist="_count=1&_sort=-date"), 400)
