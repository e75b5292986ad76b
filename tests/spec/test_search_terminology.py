"""Tokens by value set and by subsumption: `:in`, `:not-in`, `:above`, `:below`.

https://hl7.org/fhir/R4/search.html#token. Only what is stored on the server counts.
"""

from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.spec.api import Fhir, Json, concept, observation, patient, problem, reference, success, unique
from tests.spec.world import World

OTHER = "https://example.org/other"


class Terms:
    """A code system, value sets over it, and the URLs they have in this run."""

    def __init__(self) -> None:
        self.base = f"https://example.org/{unique('terms')}"
        self.system, self.loose = f"{self.base}/animals", f"{self.base}/loose"

    def url(self, name: str) -> str:
        return f"{self.base}/{name}"

    def code_system(self, **elements: object) -> Json:
        cats = {"code": "cat", "concept": [{"code": "lion"}, {"code": "tiger"}]}
        mammals = {"code": "mammal", "concept": [cats, {"code": "dog"}]}
        content = {"content": "complete", "concept": [mammals, {"code": "bird"}]}
        return {"resourceType": "CodeSystem", "status": "active", "url": self.system, **content, **elements}

    def value_set(self, name: str, *include: Json, exclude: tuple[Json, ...] = (), **elements: object) -> Json:
        compose: Json = {"include": list(include)} | ({"exclude": list(exclude)} if exclude else {})
        return {"resourceType": "ValueSet", "status": "active", "url": self.url(name), "compose": compose, **elements}

    def isa(self, code: str) -> Json:
        return {"system": self.system, "filter": [{"property": "concept", "op": "is-a", "value": code}]}

    def listed(self, *codes: str, system: str = "") -> Json:
        return {"system": system or self.system, "concept": [{"code": code} for code in codes]}

    def value_sets(self) -> list[Json]:
        return [
            self.value_set("cats", self.isa("cat")),
            self.value_set("pets", self.listed("cat", "dog"), self.listed("fish", system=OTHER)),
            self.value_set("all", {"system": self.system}),
            self.value_set("dogs-and-cats", {"valueSet": [self.url("cats")]}, {"valueSet": [self.url("pets")]}),
            self.value_set("wild", self.isa("cat"), exclude=({"valueSet": [self.url("pets")]},)),
            self.value_set("loose", {"system": self.loose}),
            self.value_set("loose-but-x", {"system": self.loose}, exclude=(self.listed("x", system=self.loose),)),
            self.value_set("none", self.listed("cat"), exclude=(self.isa("cat"),)),
            self.value_set("circle", {"valueSet": [self.url("circle")]}),
            self.value_set("hanging", {"valueSet": [self.url("nowhere")]}),
            self.value_set("filtered", {**self.isa("cat"), "system": self.loose}),
            self.value_set("versioned", self.listed("lion"), version="1.9"),
            self.value_set("versioned", self.listed("tiger"), version="1.10"),
            self.value_set("versioned", self.listed("bird"), version="2.0", status="retired"),
        ]

    def observations(self) -> dict[str, Json]:
        two = {"coding": [{"system": self.system, "code": "dog"}, {"system": OTHER, "code": "fish"}]}
        made = {
            code: observation() | {"code": concept(code, self.system)} for code in ("mammal", "cat", "lion", "bird")
        }
        return made | {
            "two": observation() | {"code": two},
            "fish": observation() | {"code": concept("fish", OTHER)},
            "bare": observation() | {"code": {"coding": [{"code": "cat"}]}},
            "text": observation() | {"code": {"text": "cat"}},
            "x": observation() | {"code": concept("x", self.loose)},
            "y": observation() | {"code": concept("y", self.loose)},
            "unlisted": observation() | {"code": concept("unlisted", self.system)},
        }


@pytest.fixture(scope="module")
def terms() -> Terms:
    return Terms()


@pytest.fixture(scope="module")
async def world(fhir: Fhir, terms: Terms) -> World:
    for definition in [terms.code_system(), *terms.value_sets()]:
        await fhir.created(definition)
    return await World.create(fhir, terms.observations())


IN: list[tuple[str, set[str]]] = [
    ("cats", {"cat", "lion"}),
    ("pets", {"cat", "two", "fish"}),
    ("all", {"mammal", "cat", "lion", "bird", "two"}),
    ("dogs-and-cats", {"cat", "lion", "two", "fish"}),
    ("wild", {"lion"}),
    ("loose", {"x", "y"}),
    ("loose-but-x", {"y"}),
    ("none", set()),
    ("versioned|1.9", {"lion"}),
    ("versioned|2.0", {"bird"}),
    ("versioned", set()),
]


@pytest.mark.parametrize(("name", "labels"), IN)
async def test_in_and_not_in_part_the_resources(world: World, terms: Terms, name: str, labels: set[str]):
    """#token: in the value set, and not in it, which is true of what has no code as well."""
    assert await world.found("Observation", f"code:in={terms.url(name)}") == labels
    assert await world.found("Observation", f"code:not-in={terms.url(name)}") == set(terms.observations()) - labels


async def test_the_newest_version_that_is_not_retired_counts(world: World, terms: Terms):
    tiger = await world.fhir.created(observation() | {"code": concept("tiger", terms.system)})
    assert await world.fhir.found(f"Observation?code:in={terms.url('versioned')}") == [tiger["id"]]


async def test_several_value_sets_are_alternatives(world: World, terms: Terms):
    both = f"{terms.url('cats')},{terms.url('loose')}"
    assert await world.found("Observation", f"code:in={both}") == {"cat", "lion", "x", "y"}
    assert "x" not in await world.found("Observation", f"code:not-in={both}")


@pytest.mark.parametrize("form", ["ValueSet/{id}", "{base}/ValueSet/{id}"])
async def test_a_value_set_by_its_own_address(world: World, terms: Terms, form: str):
    """#token: the reference may be literal."""
    made = await world.fhir.created(terms.value_set(unique(), terms.listed("bird")))
    address = form.format(id=made["id"], base=world.fhir.base)
    assert await world.found("Observation", f"code:in={address}") == {"bird"}


async def test_the_self_link_is_what_was_asked(world: World, terms: Terms):
    page = await world.page("Observation", f"code:in={terms.url('cats')}")
    (link,) = [link["url"] for link in page["link"] if link["relation"] == "self"]
    assert f"code:in={terms.url('cats')}" in link


async def test_a_search_of_several_types(world: World, terms: Terms):
    """#_type: the types share the parameter."""
    found = await world.found("", f"_type=Observation,Condition&code:in={terms.url('cats')}")
    assert found == {"cat", "lion"}


async def test_paging_through_a_value_set(world: World, terms: Terms):
    """#paging: the following page asks the same."""
    page = await world.page("Observation", f"code:in={terms.url('pets')}&_count=2&_total=accurate")
    assert page["total"] == 3
    (link,) = [link["url"] for link in page["link"] if link["relation"] == "next"]
    rest = success(await world.fhir.get(link), 200)
    assert len(rest["entry"]) == 1


SUBSUMED: list[tuple[str, set[str]]] = [
    ("code:below={s}|cat", {"cat", "lion"}),
    ("code:below={s}|lion", {"lion"}),
    ("code:below={s}|mammal", {"mammal", "cat", "lion", "two"}),
    ("code:below={s}|lion,{s}|bird", {"lion", "bird"}),
    ("code:above={s}|lion", {"mammal", "cat", "lion"}),
    ("code:above={s}|tiger", {"mammal", "cat"}),
    ("code:above={s}|mammal", {"mammal"}),
    ("combo-code:below={s}|cat", {"cat", "lion"}),
]


@pytest.mark.parametrize(("query", "labels"), SUBSUMED)
async def test_subsumption(world: World, terms: Terms, query: str, labels: set[str]):
    """#token: :below and :above include the concept itself."""
    assert await world.found("Observation", query.format(s=terms.system)) == labels


async def test_conditions_of_other_resources(world: World, terms: Terms):
    """#chaining, #has: value sets and subsumption count there too."""
    fhir = world.fhir
    someone = await fhir.created(patient())
    lion, bird = [
        await fhir.created(observation(subject=reference(someone)) | {"code": concept(code, terms.system)})
        for code in ("lion", "bird")
    ]
    report = {"resourceType": "DiagnosticReport", "status": "final", "code": concept("r")}
    of_lion = await fhir.created(report | {"result": [reference(lion)]})
    await fhir.created(report | {"result": [reference(bird)]})
    cats, base = terms.url("cats"), f"subject=Patient/{someone['id']}"
    assert await fhir.found(f"DiagnosticReport?result.code:in={cats}&result.{base}") == [of_lion["id"]]
    assert await fhir.found(f"DiagnosticReport?result.code:below={terms.system}|cat&result.{base}") == [of_lion["id"]]
    assert someone["id"] in await fhir.found(f"Patient?_has:Observation:subject:code:in={cats}")
    assert someone["id"] not in await fhir.found(f"Patient?_has:Observation:subject:code:in={terms.url('pets')}")


async def test_the_last_observations_of_a_value_set(world: World, terms: Terms):
    """operation-observation-lastn.html: it takes the criteria of a search."""
    someone = await world.fhir.created(patient())
    lion, _ = [
        await world.fhir.created(observation(subject=reference(someone)) | {"code": concept(code, terms.system)})
        for code in ("lion", "bird")
    ]
    url = f"Observation/$lastn?patient={someone['id']}&code"
    assert await world.fhir.found(f"{url}:in={terms.url('cats')}") == [lion["id"]]
    assert await world.fhir.found(f"{url}:below={terms.system}|cat") == [lion["id"]]


async def test_conditional_create_by_value_set(world: World, terms: Terms):
    """http.html#ccreate: criteria are like those of a search."""
    tag, cats = unique("tag"), terms.url("cats")
    lion = observation(meta={"tag": [{"code": tag}]}) | {"code": concept("lion", terms.system)}
    first = await world.fhir.post("Observation", lion, if_none_exist=f"_tag={tag}&code:in={cats}")
    again = await world.fhir.post("Observation", lion, if_none_exist=f"_tag={tag}&code:in={cats}")
    assert [first.status_code, again.status_code] == [201, 200]
    problem(await world.fhir.post("Observation", lion, if_none_exist=f"code:in={terms.url('nowhere')}"), 400)


async def test_a_deleted_value_set_is_not_used(fhir: Fhir, terms: Terms):
    """#introduction: what was deleted is not there."""
    name = unique()
    made = await fhir.created(terms.value_set(name, terms.listed("bird")))
    success(await fhir.get(f"Observation?code:in={terms.url(name)}"), 200)
    await fhir.delete(f"ValueSet/{made['id']}")
    problem(await fhir.get(f"Observation?code:in={terms.url(name)}"), 400, code="not-found")
    problem(await fhir.get(f"Observation?code:in=ValueSet/{made['id']}"), 400, code="not-found")


async def test_a_changed_value_set_counts_at_once(world: World, terms: Terms):
    name = unique()
    made = await world.fhir.created(terms.value_set(name, terms.listed("bird")))
    assert await world.found("Observation", f"code:in={terms.url(name)}") == {"bird"}
    await world.fhir.replaced(terms.value_set(name, terms.listed("lion"), id=made["id"]))
    assert await world.found("Observation", f"code:in={terms.url(name)}") == {"lion"}


UNKNOWN = [
    ("code:in={base}/nowhere", "not-found"),
    ("code:not-in={base}/nowhere", "not-found"),
    ("code:in={base}/cats|7", "not-found"),
    ("code:in=ValueSet/nowhere", "not-found"),
    ("code:in={base}/hanging", "not-found"),
    ("code:in={base}/filtered", "not-found"),
    ("code:in={base}/circle", "not-supported"),
    ("code:below={base}/nowhere|x", "not-found"),
    ("code:below={base}/animals|nobody", "not-found"),
    ("code:above={base}/animals|nobody", "not-found"),
    ("_tag:in={base}/nowhere", "not-found"),
    ("subject:Patient.language:in={base}/nowhere", "not-found"),
]


@pytest.mark.parametrize(("query", "code"), UNKNOWN)
async def test_what_is_not_stored_is_said(world: World, terms: Terms, query: str, code: str):
    """#token: servers may process only the value sets that they know; they must not pretend."""
    asked = quote(query.format(base=terms.base), safe="=:/")
    for headers in ({}, {"prefer": "handling=lenient"}):
        (issue,) = problem(await world.fhir.get(f"Observation?{asked}", **headers), 400, code=code)
        assert "nobody" not in issue["diagnostics"]


MALFORMED = [
    "code:in=cats",
    "code:in=Patient/1",
    "code:below=cat",
    "code:below=|cat",
    "code:below=https://example.org/s|",
    "code:above=a|b|c",
    "identifier:in=https://example.org/v",
    "_id:in=https://example.org/v",
    "code:in:not=https://example.org/v",
    "date:in=https://example.org/v",
    "subject:in=https://example.org/v",
]


@pytest.mark.parametrize("query", MALFORMED)
async def test_malformed_questions_are_400(fhir: Fhir, query: str):
    """#errors: what is no value set, a code without its system, a parameter that holds no concepts."""
    problem(await fhir.get(f"Observation?{query}"), 400)


async def test_the_system_of_a_code_is_that_of_its_binding(fhir: Fhir):
    """#token: `[system]` is implicit for elements of the type code."""
    status = "http://hl7.org/fhir/task-status"
    tag = unique("tag")
    content = [{"code": "requested", "concept": [{"code": "accepted"}]}, {"code": "draft"}]
    system = {
        "resourceType": "CodeSystem",
        "status": "active",
        "url": status,
        "content": "complete",
        "concept": content,
    }
    stored = await fhir.created(system)
    made = [
        await fhir.created(
            {"resourceType": "Task", "status": code, "intent": "order", "meta": {"tag": [{"code": tag}]}}
        )
        for code in ("requested", "accepted", "draft")
    ]
    for value in ("requested", f"{status}|requested"):
        found = await fhir.found(f"Task?_tag={tag}&status:below={value}")
        assert found == [task["id"] for task in made[:2]]
    await fhir.delete(f"CodeSystem/{stored['id']}")


async def test_codes_of_which_the_system_is_not_known(fhir: Fhir, terms: Terms):
    """#token: languages and the like are codes of the system that their value set has."""
    languages, whole, tag = unique(), unique(), unique("tag")
    await fhir.created(terms.value_set(languages, terms.listed("de", "fr", system="urn:ietf:bcp:47")))
    await fhir.created(terms.value_set(whole, {"system": "urn:ietf:bcp:47"}))
    base = {"resourceType": "DocumentReference", "status": "current", "meta": {"tag": [{"code": tag}]}}
    german, _ = [
        await fhir.created(base | {"content": [{"attachment": {"language": code, "url": "https://example.org/d"}}]})
        for code in ("de", "en")
    ]
    assert await fhir.found(f"DocumentReference?_tag={tag}&language:in={terms.url(languages)}") == [german["id"]]
    problem(await fhir.get(f"DocumentReference?language:in={terms.url(whole)}"), 400, code="not-supported")


DOCUMENTS = {
    "plain": "text/xml",
    "charset": "text/xml; charset=UTF-8",
    "other": "text/xmlx",
    "json": "application/json",
}


async def test_mime_types(fhir: Fhir):
    """#mimetype: what has the base of the type, with or without parameters."""
    base = {"resourceType": "DocumentReference", "status": "current"}
    made = {
        label: base | {"content": [{"attachment": {"contentType": kind, "url": "https://example.org/d"}}]}
        for label, kind in DOCUMENTS.items()
    }
    world = await World.create(fhir, made)
    assert await world.found("DocumentReference", "contenttype:below=text/xml") == {"plain", "charset"}
    assert await world.found("DocumentReference", "contenttype:above=text/xml; charset=UTF-8") == {"plain", "charset"}
    assert await world.found("DocumentReference", "contenttype=text/xml") == {"plain"}


async def test_a_value_set_of_many_codes(fhir: Fhir, terms: Terms):
    """Thousands of codes are one condition."""
    name, last = unique(), observation() | {"code": concept("c9999", terms.loose)}
    made = await fhir.created(last)
    many = terms.listed(*(f"c{n}" for n in range(10_000)), system=terms.loose)
    await fhir.created(terms.value_set(name, many))
    assert await fhir.found(f"Observation?code:in={terms.url(name)}") == [made["id"]]
    more = unique()
    await fhir.created(terms.value_set(more, many, terms.listed("x")))
    problem(await fhir.get(f"Observation?code:in={terms.url(more)}"), 400, code="too-costly")


async def test_a_list_of_many_tokens(world: World, terms: Terms):
    """#token: codes of several systems and of none, a whole system, all in one list."""
    values = [f"{terms.system}|c{n}" for n in range(100)]
    values += [f"{terms.system}|lion", f"{terms.system}|bird", "|cat", f"{OTHER}|", "y", "nothing"]
    assert await world.found("Observation", f"code={','.join(values)}") == {"lion", "bird", "bare", "two", "fish", "y"}
    assert await world.found("Observation", f"code:not={','.join(values)}") == {
        "mammal",
        "cat",
        "text",
        "x",
        "unlisted",
    }
