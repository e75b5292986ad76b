"""Searches through references agree with joins by hand: chains, _has, _list, compartments, includes.

https://hl7.org/fhir/R4/search.html#chaining, #has, #list, #include, compartmentdefinition.html
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.search.corpus import TAG_SYSTEM, Corpus, values
from tests.search.parts import S
from tests.spec.api import Json

Path = tuple[str, ...]

# source, its parameter, where the references stand, target, a condition for the target
JOINS: list[tuple[str, str, Path, str, str]] = [
    ("Observation", "subject", ("subject",), "Patient", "family=mul"),
    ("Observation", "subject", ("subject",), "Patient", "gender=female"),
    ("Observation", "patient", ("subject",), "Patient", "birthdate=lt2000-03"),
    ("Observation", "subject", ("subject",), "Group", "type=person"),
    ("Observation", "encounter", ("encounter",), "Encounter", "status=planned"),
    ("Observation", "performer", ("performer",), "Organization", "active=true"),
    ("Observation", "performer", ("performer",), "Practitioner", "gender:not=male"),
    ("Observation", "has-member", ("hasMember",), "Observation", f"code={S}|one"),
    ("Observation", "has-member", ("hasMember",), "Observation", "value-quantity=gt5"),
    ("Observation", "has-member", ("hasMember",), "Observation", "code-value-quantity=one$gt5"),
    ("Encounter", "part-of", ("partOf",), "Encounter", "class=one,two"),
    ("Encounter", "location", ("location", "location"), "Location", "name=mul"),
    ("Encounter", "patient", ("subject",), "Patient", "birthdate:missing=true"),
    ("Condition", "encounter", ("encounter",), "Encounter", "date=2020-06"),
    ("Condition", "subject", ("subject",), "Patient", "active=true"),
    ("Task", "focus", ("focus",), "ServiceRequest", "status=active"),
    ("Task", "owner", ("owner",), "Organization", "name:contains=u"),
    ("Task", "based-on", ("basedOn",), "ServiceRequest", "instantiates-uri=http://example.org/a"),
    ("Patient", "general-practitioner", ("generalPractitioner",), "Practitioner", "gender=male"),
    ("ServiceRequest", "subject", ("subject",), "Patient", "phone=555"),
]
joined = pytest.mark.parametrize(("source", "name", "path", "target", "condition"), JOINS)


def local(corpus: Corpus, references: Iterable[Json]) -> set[str]:
    """The resources of the corpus that references lead to, without their versions."""
    texts = (reference.get("reference", "") for reference in references)
    found = {text.removeprefix(f"{corpus.fhir.base}/").partition("/_history/")[0] for text in texts}
    return found & set(corpus.bodies)


def targets(corpus: Corpus, sources: Iterable[str], path: Path) -> set[str]:
    """What resources refer to, by the bodies."""
    return {found for source in sources for found in local(corpus, values(corpus.bodies[source], *path))}


def referring(corpus: Corpus, kind: str, path: Path, wanted: set[str]) -> set[str]:
    """The resources of a type that refer to one of those wanted, by the bodies."""
    return {name for name in corpus.of(kind) if targets(corpus, [name], path) & wanted}


@joined
async def test_a_chain_is_a_join(corpus: Corpus, source: str, name: str, path: Path, target: str, condition: str):
    """#chaining: what refers to a resource that fulfils the condition, as bodies say and as a second search says."""
    wanted = await corpus.found(target, condition)
    assert wanted
    chained = await corpus.found(source, f"{name}:{target}.{condition}")
    assert chained == referring(corpus, source, path, wanted)
    assert chained == await corpus.found(source, f"{name}={','.join(sorted(wanted))}")


@joined
async def test_a_chain_reads_on(corpus: Corpus, source: str, name: str, path: Path, target: str, condition: str):
    """#chaining: over all types that a reference may lead to, a chain finds at least what it finds over one."""
    anything = f"_tag={TAG_SYSTEM}|{corpus.tag}"
    over_one = await corpus.found(source, f"{name}:{target}.{anything}")
    assert over_one == referring(corpus, source, path, corpus.all(target))
    reached = corpus.all("Patient") if name == "patient" else set(corpus.bodies)
    assert await corpus.found(source, f"{name}.{anything}") == referring(corpus, source, path, reached)


@joined
async def test_has_is_a_join(corpus: Corpus, source: str, name: str, path: Path, target: str, condition: str):
    """#has: what is referred to by a resource that fulfils a condition."""
    for asked in REVERSE[source]:
        matches = await corpus.found(source, asked)
        found = await corpus.found(target, f"_has:{source}:{name}:{asked}")
        assert found == {key for key in targets(corpus, matches, path) if key.startswith(f"{target}/")}, asked
        several = await corpus.found(target, f"_has:{source}:{name}:{asked}&{condition}")
        assert several == found & await corpus.found(target, condition), asked


REVERSE = {
    "Observation": [f"code={S}|one", "status=final", "date=ge2020", "value-quantity=lt100", "code:not=one"],
    "Encounter": ["status=finished", "date=lt2021", "class:not=one"],
    "Condition": ["code=one,two", "onset-date:missing=false"],
    "Task": ["status=requested", "code:missing=true"],
    "Patient": ["gender=female", "family=mul"],
    "ServiceRequest": ["intent=order", "authored=2020"],
}


async def test_chains_and_has_nest(corpus: Corpus):
    """#chaining, #has: through two references, forwards, backwards, and one then the other."""
    women = await corpus.found("Patient", "gender=female")
    visits = referring(corpus, "Encounter", ("subject",), women)
    assert await corpus.found("Observation", "encounter:Encounter.subject:Patient.gender=female") == referring(
        corpus, "Observation", ("encounter",), visits
    )
    final = await corpus.found("Observation", "status=final")
    during = targets(corpus, final, ("encounter",))
    seen = targets(corpus, during, ("subject",)) & corpus.all("Patient")
    nested = "_has:Encounter:subject:_has:Observation:encounter:status=final"
    assert await corpus.found("Patient", nested) == seen
    assert await corpus.found("Task", f"patient:Patient.{nested}") == referring(corpus, "Task", ("for",), seen)


async def test_two_chains_are_independent(corpus: Corpus):
    """#chaining: two conditions may be fulfilled by two different targets of one parameter."""
    first = await corpus.found("Observation", "performer:Practitioner.gender=male")
    second = await corpus.found("Observation", "performer:Organization.active=true")
    both = "performer:Practitioner.gender=male&performer:Organization.active=true"
    assert await corpus.found("Observation", both) == first & second


async def test_lists(corpus: Corpus):
    """#list: the entries of a List, of the type that is searched."""
    for name, body in corpus.of("List").items():
        entries = local(corpus, values(body, "entry", "item"))
        for kind in ("Patient", "Observation"):
            found = await corpus.found(kind, f"_list={name.partition('/')[2]}")
            assert found == entries & corpus.all(kind)


# https://hl7.org/fhir/R4/compartmentdefinition-patient.html: which parameters of a type lead to a patient
COMPARTMENT: list[tuple[str, list[Path]]] = [
    ("Observation", [("subject",), ("performer",)]),
    ("Encounter", [("subject",)]),
    ("Condition", [("subject",), ("asserter",)]),
    ("ServiceRequest", [("subject",), ("performer",)]),
    ("Goal", [("subject",)]),
    ("Group", [("member", "entity")]),
    ("RiskAssessment", [("subject",)]),
]


@pytest.mark.parametrize(("kind", "paths"), COMPARTMENT)
async def test_a_compartment_is_a_union(corpus: Corpus, kind: str, paths: list[Path]):
    """http.html#vsearch: what leads to the patient by any of the parameters, with further conditions or without."""
    by_patient = {
        patient: {name for path in paths for name in referring(corpus, kind, path, {patient})}
        for patient in corpus.of("Patient")
    }
    inhabited = [patient for patient, members in by_patient.items() if members]
    assert inhabited
    for patient in [*inhabited[:10], *(by_patient.keys() - inhabited)][:13]:
        assert await corpus.found(f"{patient}/{kind}") == by_patient[patient], patient
        assert await corpus.found(f"{patient}/{kind}", "_tag:not=nothing") == by_patient[patient]


# parameter of the include, where the references stand
INCLUDES: list[tuple[str, str, Path]] = [
    ("Observation", "subject", ("subject",)),
    ("Observation", "performer", ("performer",)),
    ("Observation", "encounter", ("encounter",)),
    ("Encounter", "location", ("location", "location")),
    ("Encounter", "participant", ("participant", "individual")),
    ("Task", "focus", ("focus",)),
    ("Task", "owner", ("owner",)),
    ("Patient", "general-practitioner", ("generalPractitioner",)),
    ("Condition", "asserter", ("asserter",)),
]


@pytest.mark.parametrize(("kind", "name", "path"), INCLUDES)
async def test_an_include_is_what_matches_refer_to(corpus: Corpus, kind: str, name: str, path: Path):
    """#revinclude: the matches stay; what they refer to comes once, unless it matches itself."""
    condition = REVERSE[kind][0]
    page = await corpus.pages(kind, f"{condition}&_include={kind}:{name}")
    matches = await corpus.listed(kind, condition)
    assert page.keys("match") == matches
    included = page.keys("include")
    assert len(set(included)) == len(included)
    assert set(included) == targets(corpus, matches, path) - set(matches)


@pytest.mark.parametrize(("kind", "name", "path"), INCLUDES)
async def test_an_include_of_one_type(corpus: Corpus, kind: str, name: str, path: Path):
    """#include: the third part keeps the targets of one type."""
    condition = REVERSE[kind][0]
    matches = await corpus.found(kind, condition)
    everything = targets(corpus, matches, path) - matches
    for target in {item.partition("/")[0] for item in everything}:
        page = await corpus.pages(kind, f"{condition}&_include={kind}:{name}:{target}")
        assert set(page.keys("include")) == {item for item in everything if item.startswith(f"{target}/")}


@joined
async def test_a_reverse_include_is_what_refers_to_matches(
    corpus: Corpus, source: str, name: str, path: Path, target: str, condition: str
):
    """#revinclude: what refers to a match, once."""
    page = await corpus.pages(target, f"{condition}&_revinclude={source}:{name}")
    matches = await corpus.listed(target, condition)
    assert page.keys("match") == matches
    assert set(page.keys("include")) == referring(corpus, source, path, set(matches)) - set(matches)


async def test_includes_iterate(corpus: Corpus):
    """#include: `:iterate` goes on from what was included."""
    query = "status=requested&_include=Task:focus&_include:iterate=ServiceRequest:requester"
    page = await corpus.pages("Task", query)
    matches = set(page.keys())
    asked = targets(corpus, matches, ("focus",))
    assert set(page.keys("include")) == asked | targets(corpus, asked, ("requester",))
    once = await corpus.pages("Task", query.replace(":iterate", ""))
    assert set(once.keys("include")) == asked
