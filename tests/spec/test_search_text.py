"""Texts of codes (`:text`), types of identifiers (`:of-type`), words (`_text`, `_content`) and long strings.

https://hl7.org/fhir/R4/search.html#token, #content and #string
"""

from __future__ import annotations

from typing import Any

import pytest

from app.fhir.search.words import vector
from tests.conftest import StartServer
from tests.spec.api import Fhir, Json, observation, patient, problem, success, unique
from tests.spec.world import World

S, T = "https://example.org/s", "https://example.org/t"


def coded(*codings: Json, **concept: Any) -> Json:
    return observation() | {"code": {"coding": list(codings), **concept} if codings else concept}


GLUCOSE = {"system": S, "code": "2339-0", "display": "Glucose [Mass/volume] in Blood"}

RESOURCES = {
    "display": coded(GLUCOSE),
    "both": coded(GLUCOSE, text="Blood sugar"),
    "text": coded(text="Sugar, in the blood (procedure)"),
    "uncoded": coded({"system": T, "display": "Sugar level"}),
    "accent": coded({"code": "x", "display": "Größe des Körpers"}),
    "bare": coded({"system": S, "code": "glucose"}),
    "parts": coded({"code": "panel"}) | {"component": [{"code": {"coding": [GLUCOSE]}}]},
}

FOUND: list[tuple[str, set[str]]] = [
    ("code:text=glucose", {"display", "both"}),
    ("code:text=GLUCOSE [mass", {"display", "both"}),
    ("code:text=mass", {"display", "both"}),
    ("code:text=ass", set()),
    ("code:text=blood", {"display", "both", "text"}),
    ("code:text=blood sugar", {"both"}),
    ("code:text=sugar", {"both", "text", "uncoded"}),
    ("code:text=procedure", {"text"}),
    ("code:text=sugar\\, in", {"text"}),
    ("code:text=level,größe", {"uncoded", "accent"}),
    ("code:text=grosse", {"accent"}),
    ("code:text=korp", {"accent"}),
    ("code:text=2339-0", set()),
    ("code:text=%", set()),
    ("combo-code:text=glucose", {"display", "both", "parts"}),
    ("code:text=blood&code:text=sugar", {"both", "text"}),
    ("code:text=sugar&code:not=2339-0", {"text", "uncoded"}),
    # What has only a text matches no code and no system, and is not missing.
    (f"code={T}|", set()),
    (f"code={S}|", {"display", "both", "bare"}),
    ("code:not=2339-0", {"text", "uncoded", "accent", "bare", "parts"}),
    ("code:missing=true", set()),
    ("code:missing=false", set(RESOURCES)),
]


@pytest.fixture(scope="module")
async def world(fhir: Fhir) -> World:
    return await World.create(fhir, RESOURCES)


@pytest.mark.parametrize(("query", "labels"), FOUND)
async def test_texts_of_codes(world: World, query: str, labels: set[str]):
    """#token :text: the text of the concept or the display of a coding, from its start or from that of a word."""
    assert await world.found("Observation", query) == labels


@pytest.mark.parametrize("query", ["code:text=%CC%81", "_id:text=x"])
async def test_texts_that_cannot_be_looked_for_are_400(fhir: Fhir, query: str):
    problem(await fhir.get(f"Observation?{query}"), 400)


def identified(**type_: Any) -> Json:
    return patient(identifier=[{"system": S, "value": "446053", "type": type_}])


MR = {"system": T, "code": "MR", "display": "Medical record number"}
PATIENTS = {
    "record": identified(coding=[MR, {"system": S, "code": "NR"}]),
    "other": identified(coding=[{"system": T, "code": "DL"}], text="Driver licence"),
    "text": identified(text="Medical"),
    "untyped": patient(identifier=[{"system": S, "value": "446053"}]),
    "split": patient(identifier=[{"value": "446053"}, {"value": "1", "type": {"coding": [MR]}}]),
    "bar": patient(identifier=[{"value": "a|b", "type": {"coding": [MR]}}]),
}

FOUND_PATIENTS: list[tuple[str, set[str]]] = [
    (f"identifier:of-type={T}|MR|446053", {"record"}),
    (f"identifier:of-type={S}|NR|446053", {"record"}),
    (f"identifier:of-type={S}|MR|446053", set()),
    (f"identifier:of-type={T}|MR|446", set()),
    (f"identifier:of-type={T}|MR|a\\|b", {"bar"}),
    (f"identifier:of-type={T}|DL|446053,{T}|MR|1", {"other", "split"}),
    ("identifier:text=medical", {"record", "text", "split", "bar"}),
    ("identifier:text=number", {"record", "split", "bar"}),
    ("identifier:text=driver", {"other"}),
    ("identifier=446053", {"record", "other", "text", "untyped", "split"}),
    ("identifier:missing=true", set()),
]


@pytest.fixture(scope="module")
async def patients(fhir: Fhir) -> World:
    return await World.create(fhir, PATIENTS)


@pytest.mark.parametrize(("query", "labels"), FOUND_PATIENTS)
async def test_types_of_identifiers(patients: World, query: str, labels: set[str]):
    """#token :of-type: system and code of the type, and the value, of one identifier; :text looks at the type."""
    assert await patients.found("Patient", query) == labels


@pytest.mark.parametrize(
    "query", ["identifier:of-type=MR|1", "identifier:of-type=|MR|1", "identifier:of-type=s|MR|", "gender:of-type=s|c|v"]
)
async def test_a_type_has_three_parts(fhir: Fhir, query: str):
    """#token :of-type: all three parts are needed, and only identifiers have them."""
    issues = problem(await fhir.get(f"Patient?{query}"), 400)
    assert query.partition(":")[0] in issues[0]["diagnostics"]


async def test_no_text_outlives_its_resource(fhir: Fhir):
    word = unique("word").replace("-", "")
    created = await fhir.created(coded({"code": "c", "display": f"{word} one"}))
    for text, total in ((word, 1), (f"{word} two", 0)):
        assert len(success(await fhir.get(f"Observation?code:text={text}"), 200).get("entry", [])) == total
    created["code"]["coding"][0]["display"] = "another"
    success(await fhir.put(f"Observation/{created['id']}", created), 200)
    assert "entry" not in success(await fhir.get(f"Observation?code:text={word}"), 200)


LONG = " ".join(f"word{n}" for n in range(200))
STRINGS = {
    "long": patient(name=[{"family": LONG}]),
    "short": patient(name=[{"family": "word150 word151"}]),
}

FOUND_STRINGS: list[tuple[str, set[str]]] = [
    ("family:contains=word30 word31", {"long"}),
    ("family:contains=word150 word151", {"long", "short"}),
    ("family:contains=word198 word199", {"long"}),
    (f"family:contains={LONG[400:528].strip()}", {"long"}),
    ("family:contains=word199 word200", set()),
    ("family=word150", {"short"}),
    ("family=word0 word1", {"long"}),
    (f"family:exact={LONG}", {"long"}),
    (f"family:exact={LONG[:256]}", set()),
]


@pytest.fixture(scope="module")
async def strings(fhir: Fhir) -> World:
    return await World.create(fhir, STRINGS)


@pytest.mark.parametrize(("query", "labels"), FOUND_STRINGS)
async def test_long_strings_are_searched_to_their_end(strings: World, query: str, labels: set[str]):
    """#string :contains: anywhere in the text; other searches see no part but the whole."""
    assert await strings.found("Patient", query) == labels


async def test_what_is_too_long_to_be_looked_for_is_400(fhir: Fhir):
    issues = problem(await fhir.get("Patient?family:contains=" + "x" * 129), 400)
    assert "128" in issues[0]["diagnostics"]


def told(body: str, **elements: Any) -> Json:
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{body}</div>'
    return patient(text={"status": "generated", "div": div}, **elements)


WORDS = {
    "told": told("<p>Lives in a <b>s</b>helter</p><p>near the Café</p>"),
    "half": told("<p>No shelter</p>"),
    "name": told("<p>Nothing</p>", name=[{"family": "Shelter"}]),
    "silent": patient(name=[{"family": "Shelter"}]),
}

FOUND_WORDS: list[tuple[str, set[str]]] = [
    ("_text=shelter", {"told", "half"}),
    ("_text=SHELT", {"told", "half"}),
    ("_text=helter", set()),
    ("_text=shelter cafe", {"told"}),
    ("_text=cafe,no", {"told", "half", "name"}),
    ("_text=shelter&_text=no", {"half"}),
    ("_text=o'neil", set()),
]


@pytest.fixture(scope="module")
async def words(fhir: Fhir) -> World:
    return await World.create(fhir, WORDS)


@pytest.mark.parametrize(("query", "labels"), FOUND_WORDS)
async def test_words_of_the_narrative(words: World, query: str, labels: set[str]):
    """#content _text: every word, by its start, in the narrative and nowhere else."""
    assert await words.found("Patient", query) == labels


async def test_a_narrative_that_changes_is_searched_as_it_is(words: World):
    fhir, id_ = words.fhir, words.id_of("half")
    body = success(await fhir.get(f"Patient/{id_}"), 200)
    assert vector(body, content=False)
    del body["text"]
    success(await fhir.put(f"Patient/{id_}", body), 200)
    assert await words.found("Patient", "_text=shelter") == {"told"}


@pytest.mark.parametrize("query", ["_text=...", "_text:exact=x", "_text:missing=true"])
async def test_what_has_no_words_is_400(fhir: Fhir, query: str):
    problem(await fhir.get(f"Patient?{query}"), 400)


async def test_types_without_narrative_have_no_text_search(fhir: Fhir):
    problem(await fhir.get("Binary?_text=x"), 400, code="not-supported")


async def test_content_needs_its_setting(fhir: Fhir):
    """The refusal says what to do."""
    issues = problem(await fhir.get("Patient?_content=x"), 400, code="not-supported")
    assert "CARELOOP_INDEX_CONTENT" in issues[0]["diagnostics"]
    assert "careloop reindex" in issues[0]["diagnostics"]


async def test_words_of_everything(database: str, start_server: StartServer, fhir: Fhir):
    """#content _content: the narrative and all other texts."""
    server = start_server(database, index_content="yes")
    world = await World.create(Fhir(server.base, fhir.http), WORDS)
    assert await world.found("Patient", "_content=shelter") == set(WORDS)
    assert await world.found("Patient", "_content=shelter nothing") == {"name"}
    assert await world.found("Patient", "_text=shelter") == {"told", "half"}
