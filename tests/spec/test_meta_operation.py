"""`$meta`: the labels of a resource, and those in use (https://hl7.org/fhir/R4/resource-operation-meta.html)."""

from __future__ import annotations

import pytest

from tests.spec.api import Fhir, Json, entry, observation, patient, problem, success, unique

SYSTEM = "https://example.org/labels"


async def meta(fhir: Fhir, path: str) -> Json:
    answer = await fhir.read(path)
    assert answer["resourceType"] == "Parameters"
    (parameter,) = answer["parameter"]
    assert parameter["name"] == "return"
    found: Json = parameter.get("valueMeta", {})
    return found


class Labels:
    """A meta that no other test uses."""

    def __init__(self) -> None:
        self.profile = f"https://example.org/StructureDefinition/{unique('profile')}"
        self.tag = {"system": SYSTEM, "code": unique("tag")}
        self.bare = {"code": unique("tag")}
        self.security = {"system": SYSTEM, "code": unique("security")}

    @property
    def meta(self) -> Json:
        return {"profile": [self.profile], "tag": [self.tag, self.bare], "security": [self.security]}

    def among(self, found: Json) -> bool:
        """Whether all are there, each once."""
        return all(found.get(name, []).count(label) == 1 for name, listed in self.meta.items() for label in listed)

    def absent_from(self, found: Json) -> bool:
        return not any(label in found.get(name, []) for name, listed in self.meta.items() for label in listed)


async def test_the_meta_of_a_resource(fhir: Fhir) -> None:
    made = await fhir.created(patient(meta=Labels().meta))
    assert await meta(fhir, f"Patient/{made['id']}/$meta") == made["meta"]


async def test_the_meta_of_a_version(fhir: Fhir) -> None:
    made = await fhir.created(patient(meta=Labels().meta))
    changed = await fhir.replaced(made | {"meta": {"tag": [{"code": "changed"}]}})
    path = f"Patient/{made['id']}"
    assert await meta(fhir, f"{path}/_history/1/$meta") == made["meta"]
    assert await meta(fhir, f"{path}/$meta") == changed["meta"]
    problem(await fhir.get(f"{path}/_history/3/$meta"), 404)


async def test_the_labels_in_use(fhir: Fhir) -> None:
    labels = Labels()
    made = await fhir.created(patient(meta=labels.meta))
    await fhir.created(patient(meta=labels.meta))
    assert labels.among(await meta(fhir, "Patient/$meta"))
    assert labels.among(await meta(fhir, "$meta"))
    assert labels.absent_from(await meta(fhir, "Observation/$meta"))
    await fhir.created(observation(meta=labels.meta))
    assert labels.among(await meta(fhir, "Observation/$meta"))
    assert labels.among(await meta(fhir, "$meta"))
    await fhir.delete(f"Patient/{made['id']}")
    assert labels.among(await meta(fhir, "Patient/$meta"))


async def test_what_only_deleted_resources_have_is_not_in_use(fhir: Fhir) -> None:
    labels = Labels()
    made = await fhir.created(patient(meta=labels.meta))
    changed = await fhir.created(patient(meta=labels.meta))
    await fhir.delete(f"Patient/{made['id']}")
    await fhir.replaced({name: part for name, part in changed.items() if name != "meta"})
    assert labels.absent_from(await meta(fhir, "Patient/$meta"))
    assert labels.absent_from(await meta(fhir, "$meta"))


async def test_nothing_in_use(fhir: Fhir) -> None:
    assert (await fhir.read("SubstanceProtein/$meta"))["parameter"] == [{"name": "return"}]


async def test_refusals(fhir: Fhir) -> None:
    made = await fhir.created(patient())
    path = f"Patient/{made['id']}/$meta"
    problem(await fhir.get(f"{path}?name=x"), 400)
    problem(await fhir.get(f"Patient/{unique()}/$meta"), 404)
    await fhir.delete(f"Patient/{made['id']}")
    problem(await fhir.get(path), 410)
    problem(await fhir.get("Unknown/$meta"), 404)


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_it_can_be_an_entry_and_be_posted(fhir: Fhir, kind: str) -> None:
    made = await fhir.created(patient(meta=Labels().meta))
    path = f"Patient/{made['id']}/$meta"
    answer = success(await fhir.bundle(kind, entry("GET", path)), 200)
    assert answer["entry"][0]["resource"]["parameter"][0]["valueMeta"] == made["meta"]
    posted = success(await fhir.http.post(f"{fhir.base}/{path}"), 200)
    assert posted["parameter"][0]["valueMeta"] == made["meta"]


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "Parameters", "meta": {"profile": -1}},
        {"resourceType": "Parameters", "banana": True},
        {"resourceType": "Parameters", "parameter": []},
        {"resourceType": "Parameters", "parameter": [{"valueString": "a"}]},
        {"resourceType": "Parameters", "parameter": {"name": "a"}},
        {"resourceType": "Patient"},
    ],
)
async def test_what_is_posted_must_be_parameters_of_r4(fhir: Fhir, body: Json) -> None:
    """operations.html#request: also where no parameter is looked at."""
    problem(await fhir.post("Patient/$meta", body), 400)
    problem(await fhir.post("Observation/$lastn?patient=1", body), 400)
