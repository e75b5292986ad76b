"""Parts of resources: https://hl7.org/fhir/R4/search.html#summary, #elements.

What is mandatory, and what a summary holds, is read from the definitions anew.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Malformed
from app.fhir.definitions import Element, children, resource_types
from app.fhir.json import dumps, loads
from app.fhir.subset import SUBSETTED, WHOLE, Subset, cut, read_elements, requested
from tests.support import generated

Json = dict[str, Any]
NARRATIVE = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}
EXTENSION = [{"url": "https://example.org/x", "valueString": "x"}]
ROOT = {"resourceType", "id", "meta", "implicitRules", "modifierExtension"}


def part(resource: Json, subset: Subset, *, included: bool = False) -> Json:
    whole = {"resourceType": resource["resourceType"], "id": "1", "meta": {"versionId": "1"}} | resource
    made: Json = loads(cut(dumps(whole), resource["resourceType"], subset, included=included))
    assert made.pop("resourceType") == resource["resourceType"]
    assert made.pop("id") == "1"
    assert made.pop("meta")["tag"][-1] == SUBSETTED
    return made


def summary(resource: Json) -> Json:
    return part(resource, Subset("true"))


def elements(resource: Json, names: str, **how: bool) -> Json:
    return part(resource, Subset(elements=read_elements(names, (resource["resourceType"],))), **how)


# The summary `true`


def test_a_summary_looks_into_datatypes() -> None:
    attachment = {"contentType": "text/plain", "data": "aGk=", "url": "https://example.org/x", "title": "x"}
    document = {
        "resourceType": "DocumentReference",
        "status": "current",
        "content": [{"id": "a", "attachment": attachment}],
    }
    rest = {name: value for name, value in attachment.items() if name != "data"}
    assert summary(document)["content"] == [{"attachment": rest}]


def test_a_summary_looks_into_elements_that_share_the_children_of_others() -> None:
    link = {"relation": "self", "url": "https://example.org/x"}
    bundle = {"resourceType": "Bundle", "type": "history", "entry": [{"link": [{"id": "x", **link}]}]}
    assert summary(bundle)["entry"] == [{"link": [link]}]


def test_a_summary_looks_into_backbone_elements() -> None:
    inner = {"linkId": "2", "text": "x", "definition": "https://example.org/d"}
    form = {"resourceType": "Questionnaire", "status": "draft", "item": [{"linkId": "1", "item": [inner]}]}
    assert summary(form) == {"status": "draft"}
    component = {"code": {"text": "a"}, "valueString": "b", "interpretation": [{"text": "c"}]}
    measured = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "component": [component]}
    assert summary(measured)["component"] == [{"code": {"text": "a"}, "valueString": "b"}]


def test_a_summary_follows_an_identifier_into_its_assigner_and_back() -> None:
    assigner = {"display": "x", "identifier": {"value": "2", "id": "no", "assigner": {"display": "y", "id": "no"}}}
    found = summary({"resourceType": "Patient", "identifier": [{"value": "1", "assigner": assigner}]})
    assert found["identifier"] == [
        {"value": "1", "assigner": {"display": "x", "identifier": {"value": "2", "assigner": {"display": "y"}}}}
    ]


def test_a_summary_keeps_what_is_mandatory_though_it_is_no_summary_element() -> None:
    meeting = {"resourceType": "Appointment", "status": "booked", "participant": [{"status": "accepted"}]}
    assert summary(meeting | {"comment": "x"}) == {"status": "booked", "participant": [{"status": "accepted"}]}


@pytest.mark.parametrize("name", ["valueQuantity", "valueString", "valuePeriod", "_valueDateTime"])
def test_a_summary_keeps_whichever_choice_was_made(name: str) -> None:
    measured = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}
    value: Json = {"valueQuantity": {"value": 1}, "valueString": "x", "valuePeriod": {"start": "2020"}}
    assert name in summary(measured | {name: value.get(name, {"extension": EXTENSION})})


def test_what_extends_a_primitive_stays_with_it() -> None:
    born = {"resourceType": "Patient", "_birthDate": {"extension": EXTENSION}}
    assert summary(born) == {"_birthDate": {"extension": EXTENSION}}
    assert elements(born, "birthDate") == {"_birthDate": {"extension": EXTENSION}}
    assert elements(born, "name") == {}


def test_an_object_is_never_left_empty() -> None:
    assert summary({"resourceType": "Patient", "name": [{"extension": EXTENSION}]}) == {
        "name": [{"extension": EXTENSION}]
    }


# The other summaries


def test_text_is_the_narrative_and_what_is_mandatory() -> None:
    measured = {
        "resourceType": "Observation",
        "text": NARRATIVE,
        "contained": [{"resourceType": "Patient", "id": "p"}],
        "status": "final",
        "code": {"text": "x", "id": "kept"},
        "subject": {"reference": "#p"},
    }
    assert part(measured, Subset("text")) == {
        "text": NARRATIVE,
        "status": "final",
        "code": {"text": "x", "id": "kept"},
    }


def test_data_is_all_but_the_narrative() -> None:
    rest = {"extension": EXTENSION, "contact": [{"gender": "male", "id": "x"}], "photo": [{"data": "aGk="}]}
    assert part({"resourceType": "Patient", "text": NARRATIVE} | rest, Subset("data")) == rest


# _elements


def test_elements_are_those_of_the_root_and_whole() -> None:
    person = {"resourceType": "Patient", "name": [{"id": "x", "family": "y"}], "gender": "male", "active": True}
    assert elements(person, "name") == {"name": [{"id": "x", "family": "y"}]}
    assert elements(person, "id,gender,name") == {"name": [{"id": "x", "family": "y"}], "gender": "male"}


@pytest.mark.parametrize("name", ["value", "value[x]", "valueQuantity", "valueString"])
def test_a_choice_goes_by_any_of_its_names(name: str) -> None:
    measured = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "valueString": "x"}
    assert elements(measured, name) == {"status": "final", "code": {"text": "x"}, "valueString": "x"}


def test_what_changes_the_meaning_of_all_the_rest_stays() -> None:
    person = {"resourceType": "Patient", "implicitRules": "https://example.org/x", "modifierExtension": EXTENSION}
    for subset in (Subset("true"), Subset("text"), Subset("data"), Subset(elements=("name",))):
        assert part(person, subset) == {key: person[key] for key in ("implicitRules", "modifierExtension")}


def test_names_of_a_type_are_for_that_type() -> None:
    person = dumps({"resourceType": "Patient", "id": "1", "meta": {}, "gender": "male", "active": True})
    of_both = Subset(elements=read_elements("status,Patient.gender", ("Observation",)))
    assert "active" not in loads(cut(person, "Patient", of_both, included=True))
    assert "gender" in loads(cut(person, "Patient", of_both, included=True))
    for others in ("status", "Observation.status"):
        untouched = Subset(elements=read_elements(others, ("Observation",)))
        assert cut(person, "Patient", untouched, included=True) == person


def test_a_name_of_any_of_several_types_will_do() -> None:
    assert read_elements("birthDate,status", ("Patient", "Observation")) == ("birthDate", "status")


UNKNOWN = [
    "banana",
    "name.family",
    "Banana.name",
    "Patient.status",
    "Patient.",
    ".name",
    "Name",
    "name,banana",
    "_birthDate",
]


@pytest.mark.parametrize("text", UNKNOWN)
def test_a_name_that_there_is_not_is_refused_and_not_told(text: str) -> None:
    with pytest.raises(ValueError, match="_elements") as refused:
        read_elements(text, ("Patient",))
    assert text not in str(refused.value)


# Requests


def test_a_request_without_either_is_for_the_whole() -> None:
    assert requested([("_format", "json"), ("_summary", ""), ("_summary", "false")], ("Patient",)) == WHOLE
    assert WHOLE.whole
    assert cut(b"not even JSON", "Patient", WHOLE) == b"not even JSON"


@pytest.mark.parametrize(
    "pairs",
    [
        [("_summary", "banana")],
        [("_summary", "count")],
        [("_summary", "true"), ("_summary", "text")],
        [("_summary", "true"), ("_elements", "name")],
        [("_elements", "banana")],
    ],
)
def test_a_request_that_makes_no_sense_is_refused(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(Malformed):
        requested(pairs, ("Patient",))


# Everything


def test_tags_stay_and_the_new_one_comes_once() -> None:
    own = {"system": "https://example.org", "code": "x"}
    person = dumps({"resourceType": "Patient", "id": "1", "meta": {"tag": [own]}})
    once = cut(person, "Patient", Subset("true"))
    assert loads(once)["meta"]["tag"] == [own, SUBSETTED]
    assert cut(once, "Patient", Subset("true")) == once


def test_numbers_keep_their_text() -> None:
    raw = b'{"resourceType":"Observation","id":"1","meta":{},"valueQuantity":{"value":1.00}}'
    assert b'"valueQuantity":{"value":1.00}' in cut(raw, "Observation", Subset("true"))


def is_kept(element: Element, mode: str) -> bool:
    if mode == "data":
        return element.name != "text"
    return element.min > 0 or (element.summary if mode == "true" else element.name == "text")


@pytest.mark.parametrize("mode", ["true", "text", "data"])
@given(seed=st.integers(0, 2**32), kind=st.sampled_from(resource_types()))
def test_the_root_holds_what_the_definitions_say(mode: str, seed: int, kind: str) -> None:
    resource = generated.resource(Random(seed), kind) | {"id": "1"}
    resource["meta"] = {"versionId": "1"}
    made = json.loads(cut(dumps(resource), kind, Subset(mode)))
    names = {
        name: element
        for element in children(kind).values()
        for plain in element.json_names()
        for name in (plain, f"_{plain}")
    }
    expected = {name for name in resource if name in ROOT or is_kept(names[name], mode)}
    assert set(made) == expected
    assert list(made) == [name for name in resource if name in expected]


@given(seed=st.integers(0, 2**32), kind=st.sampled_from(resource_types()))
def test_a_summary_is_part_of_the_whole(seed: int, kind: str) -> None:
    resource = generated.resource(Random(seed), kind)
    whole = json.loads(dumps(resource | {"id": "1", "meta": {}}))
    made = json.loads(cut(dumps(resource | {"id": "1", "meta": {}}), kind, Subset("true")))
    made.pop("meta")
    assert_part(made, whole)


def assert_part(small: Any, large: Any) -> None:
    """Every property of the one is in the other, lists are as long, nothing is empty, primitives are the same."""
    if isinstance(small, dict):
        assert small
        for name, value in small.items():
            assert_part(value, large[name])
    elif isinstance(small, list):
        assert len(small) == len(large)
        for one, other in zip(small, large, strict=True):
            assert_part(one, other)
    else:
        assert small == large
