"""The order of matches: https://hl7.org/fhir/R4/search.html#sort

What the specification leaves open is settled so: resources without a value come last in either direction, and among
equals decides the order of creation, in the direction of the first key.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.spec.api import Fhir, Json, concept, identifier, observation, problem, quantity
from tests.spec.world import World

FOREIGN = "https://elsewhere.example.org/fhir/Patient/1"


def questionnaire(status: str = "active", **elements: Any) -> Json:
    return {"resourceType": "Questionnaire", "status": status, **elements}


def places(*codes: str) -> list[Json]:
    return [concept(code) for code in codes]


# Labels in the order of creation. Each has something missing, something that equals another's, something of several.
QUESTIONNAIRES = {
    "a": questionnaire("draft", title="Ärger", date="2026-03", jurisdiction=places("m"), url="urn:q:2"),
    "b": questionnaire("active", title="zebra", date="2026-03-15", jurisdiction=places("a", "z"), url="urn:q:1"),
    "c": questionnaire("draft", jurisdiction=places("n", "b")),
    "d": questionnaire("retired", title="Arger", date="2025-12-31T23:00:00-05:00", url="urn:Q:1"),
    "e": questionnaire("active", title="Banana", date="2026-03-15", jurisdiction=places("z")),
    "f": questionnaire("draft", title="banana", date="2026"),
}
OBSERVATIONS = {
    "g": observation(valueQuantity=quantity(3)),
    "h": observation(valueQuantity=quantity(-2.5), component=[{"code": concept("x"), "valueQuantity": quantity(90)}]),
    "i": observation(component=[{"code": concept("x"), "valueQuantity": quantity(v)} for v in (7, 1)]),
    "j": observation(valueQuantity=quantity(3, comparator="<")),
    "k": observation(valueString="no number"),
    "l": observation(valueQuantity=quantity(10)),
}


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> World:
    return await World.create(fhir, QUESTIONNAIRES | OBSERVATIONS)


@pytest.fixture(scope="module")
async def referrers(fhir: Fhir) -> World:
    """Observations of two patients, a group, somebody elsewhere, somebody without a literal reference, and nobody."""
    made = {name: await fhir.created({"resourceType": "Patient"}) for name in ("one", "two")}
    group = await fhir.created({"resourceType": "Group", "type": "person", "actual": True})
    first, second = sorted(f"Patient/{each['id']}" for each in made.values())
    subjects: dict[str, Json | None] = {
        "second": {"reference": second},
        "foreign": {"reference": FOREIGN},
        "nobody": None,
        "group": {"reference": f"Group/{group['id']}"},
        "first": {"reference": first},
        "named": {"identifier": identifier("x")[0]},
        "again": {"reference": second},
    }
    everyone = {label: observation(**({"subject": each} if each else {})) for label, each in subjects.items()}
    return await World.create(fhir, everyone)


SORTED = [
    ("Questionnaire", "title", "adefbc", "bfedac"),
    ("Questionnaire", "status", "beacfd", "dfcaeb"),
    ("Questionnaire", "jurisdiction", "bcaedf", "ebcafd"),
    ("Questionnaire", "url", "dbacef", "abdfec"),
    ("Observation", "value-quantity", "jhglik", "lghjki"),
    ("Observation", "combo-value-quantity", "jhiglk", "hligjk"),
]


@pytest.mark.parametrize(("kind", "code", "ascending", "descending"), SORTED)
async def test_by_each_kind(world: World, kind: str, code: str, ascending: str, descending: str):
    """#sort: least value first, or with - greatest first; without a value last in both."""
    assert "".join(await world.listed(kind, f"_sort={code}")) == ascending
    assert "".join(await world.listed(kind, f"_sort=-{code}")) == descending


async def test_by_dates(world: World):
    """#sort: by the start of what a date covers."""
    assert "".join(await world.listed("Questionnaire", "_sort=date")) == "fdabec"
    assert "".join(await world.listed("Questionnaire", "_sort=-date")) == "ebadfc"


async def test_dates_that_start_together(fhir: Fhir):
    """#sort: the shorter is less, but a further key decides before; an open start is before all."""
    dates = {
        "year": {"effectiveDateTime": "2026"},
        "open": {"effectivePeriod": {"start": "2026-01-01"}},
        "day": {"effectiveDateTime": "2026-01-01"},
        "past": {"effectivePeriod": {"end": "2027"}},
    }
    values = {"year": 3, "open": 1, "day": 2, "past": 9}
    everyone = {label: observation(valueQuantity=quantity(values[label]), **each) for label, each in dates.items()}
    world = await World.create(fhir, everyone)
    assert await world.listed("Observation", "_sort=date") == ["past", "day", "year", "open"]
    assert await world.listed("Observation", "_sort=-date") == ["open", "year", "day", "past"]
    assert await world.listed("Observation", "_sort=date,value-quantity") == ["past", "open", "day", "year"]
    assert await world.listed("Observation", "_sort=-date,-value-quantity") == ["year", "day", "open", "past"]


async def test_equals_are_told_apart_by_creation(world: World):
    """Without a rule of the specification: in the direction of the first key, so that - turns everything round."""
    assert "".join(await world.listed("Questionnaire", "_sort=status,date")) == "befacd"
    assert "".join(await world.listed("Questionnaire", "_sort=-version")) == "fedcba"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("status,title", "ebafcd"),
        ("status,-title", "befacd"),
        ("-status,title", "dafceb"),
        ("title,-status", "dafebc"),
        ("title,date", "dafebc"),
        ("title,-date", "adefbc"),
        ("jurisdiction,title,-_id", "bcaedf"),
        ("version,-title", "befadc"),
        ("status,jurisdiction,-date", "becafd"),
        ("-status,-jurisdiction,date", "dcafeb"),
    ],
)
async def test_further_keys_decide_among_equals(world: World, keys: str, expected: str):
    """#sort: each subsequent parameter is a nested sort; each has a direction of its own."""
    assert "".join(await world.listed("Questionnaire", f"_sort={keys}")) == expected


async def test_by_id(world: World):
    """#all: _id is a search parameter as any other."""
    labels = sorted(QUESTIONNAIRES, key=world.id_of)
    assert await world.listed("Questionnaire", "_sort=_id") == labels
    assert await world.listed("Questionnaire", "_sort=-_id") == labels[::-1]
    assert await world.listed("Questionnaire", "_sort=version,-_id") == labels[::-1]


async def test_by_the_time_of_the_last_change(fhir: Fhir):
    """#all: _lastUpdated follows updates, the default order does not."""
    world = await World.create(fhir, {label: questionnaire() for label in "abc"})
    body = await fhir.read(f"Questionnaire/{world.id_of('a')}")
    await fhir.replaced(body | {"status": "retired"})
    assert "".join(await world.listed("Questionnaire", "_sort=_lastUpdated")) == "bca"
    assert "".join(await world.listed("Questionnaire", "_sort=-_lastUpdated")) == "acb"
    assert "".join(await world.listed("Questionnaire", "_sort=-status,-_lastUpdated")) == "acb"
    assert "".join(await world.listed("Questionnaire", "")) == "abc"


async def test_by_reference(referrers: World):
    """#sort: by Type/id of the target, elsewhere by the URL; a reference that is only logical has neither."""
    ascending = ["group", "first", "second", "again", "foreign", "nobody", "named"]
    assert await referrers.listed("Observation", "_sort=subject") == ascending
    descending = ["foreign", "again", "second", "first", "group", "named", "nobody"]
    assert await referrers.listed("Observation", "_sort=-subject") == descending


async def test_by_a_reference_to_one_type_only(referrers: World):
    """#sort: `patient` is `subject` where that is a Patient; any other target is no value of it."""
    ascending = ["first", "second", "again", "foreign", "nobody", "group", "named"]
    assert await referrers.listed("Observation", "_sort=patient") == ascending


async def test_long_texts_sort_by_their_beginning(fhir: Fhir):
    """#sort: however long a text is, it counts once, and from its start."""
    world = await World.create(
        fhir,
        {
            "z": questionnaire(title="z" * 700),
            "a": questionnaire(title="a " * 400 + "z"),
            "m": questionnaire(title="m"),
        },
    )
    assert "".join(await world.listed("Questionnaire", "_sort=title")) == "amz"
    assert "".join(await world.listed("Questionnaire", "_sort=-title")) == "zma"


async def test_a_concept_with_a_text_only_has_no_code(fhir: Fhir):
    """#sort: tokens sort by code."""
    only_text = questionnaire(jurisdiction=[{"text": "somewhere"}])
    both = questionnaire(jurisdiction=[{"text": "here"}, concept("b")])
    world = await World.create(fhir, {"text": only_text, "both": both, "code": questionnaire(jurisdiction=places("a"))})
    assert await world.listed("Questionnaire", "_sort=jurisdiction") == ["code", "both", "text"]
    assert await world.listed("Questionnaire", "_sort=-jurisdiction") == ["both", "code", "text"]


async def test_over_several_types(fhir: Fhir):
    """#sort: a parameter that all the types share orders all of them together."""
    tagged = [("urn:t", code) for code in "dacb"]
    kinds = [
        questionnaire(),
        {"resourceType": "Patient"},
        {"resourceType": "Basic", "code": concept("x")},
        questionnaire(),
    ]
    everyone = {
        code: kind | {"meta": {"source": f"urn:source:{code}", "tag": [{"system": system, "code": code}]}}
        for kind, (system, code) in zip(kinds, tagged, strict=True)
    } | {"none": questionnaire()}
    world = await World.create(fhir, everyone)
    types = "_type=Patient,Basic,Questionnaire"
    created = ["d", "a", "c", "b", "none"]
    assert await world.listed("", types) == created
    assert await world.listed("", f"{types}&_sort=_lastUpdated") == created
    assert await world.listed("", f"{types}&_sort=-_lastUpdated") == created[::-1]
    assert await world.listed("", f"{types}&_sort=_id") == sorted(created, key=world.id_of)
    assert await world.listed("", f"{types}&_sort=_source") == ["a", "b", "c", "d", "none"]
    assert await world.listed("", f"{types}&_sort=-_source") == ["d", "c", "b", "a", "none"]


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ("banana", "invalid"),
        ("name.given", "invalid"),
        ("--name", "invalid"),
        ("+name", "invalid"),
        ("-", "invalid"),
        ("code-value-quantity", "not-supported"),
        ("_text", "not-supported"),
        ("_lastUpdated,banana", "invalid"),
        (",".join(["date"] * 9), "too-costly"),
    ],
)
@pytest.mark.parametrize("handling", ["strict", "lenient"])
async def test_what_cannot_be_sorted_by_is_400(fhir: Fhir, keys: str, code: str, handling: str):
    """#errors: an order that cannot be given is refused, also under lenient handling: a client may rely on it."""
    response = await fhir.get(f"Observation?_sort={keys.replace('+', '%2B')}", prefer=f"handling={handling}")
    problem(response, 400, code=code)


async def test_modifiers_and_repetition_of_sort_are_400(fhir: Fhir):
    """#sort: DSTU2's _sort:desc is gone, and the keys of an order stand in one value."""
    problem(await fhir.get("Observation?_sort:desc=date"), 400)
    problem(await fhir.get("Observation?_sort=date&_sort=code"), 400)


async def test_a_blank_key_is_no_key(world: World):
    """#escaping: what is empty counts as absent."""
    assert "".join(await world.listed("Questionnaire", "_sort=,status,,date,")) == "befacd"
    assert "".join(await world.listed("Questionnaire", "_sort=")) == "abcdef"
