"""What the definitions allow is accepted, anything else is answered, and the quick way says what the slow one says."""

import json
from copy import deepcopy
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import Invalid
from app.fhir.definitions import resource_types
from app.fhir.json import Number
from app.fhir.validation import check, issues
from app.fhir.validation.contained import contained_types
from app.fhir.validation.elements import Types
from app.fhir.validation.objects import Objects
from app.fhir.validation.walk import Walk
from tests.support.generated import resource

NAMES = st.sampled_from(
    [
        "resourceType",
        "id",
        "status",
        "code",
        "coding",
        "name",
        "_name",
        "given",
        "_given",
        "extension",
        "url",
        "valueString",
        "_valueString",
        "contained",
        "text",
        "div",
        "reference",
        "type",
        "item",
        "a b",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(resource_types())
    | st.sampled_from(["#", "#a", "urn:uuid:a", "Patient/1", "2020-01-01", "final", "http://a", " "])
    | st.text().map(Number)
)
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=5)
)
CODES = {"structure", "required", "value", "code-invalid", "invariant", "invalid"}
SEEDS = st.integers(0, 2**32).map(Random)

slow = Types(Objects(meetings=10**9), warnings=True)
quick = Types(Objects(meetings=1), warnings=True)


def walked(types, value):
    walk = Walk(value, value, value, contained_types(value))
    found = types.resource(value, walk)
    return list(found or ()), walk.references, walk.uris


@pytest.mark.parametrize("kind", resource_types())
def test_what_the_definitions_allow_is_accepted(kind):
    for seed in range(6):
        made = resource(Random(seed), kind)
        assert [i for i in issues(made, kind) if i.code != "invariant"] == []


@given(TREES)
def test_any_tree_is_answered(tree):
    for type_name in (None, "Patient"):
        answer(tree, type_name)


@given(st.sampled_from(resource_types()), st.dictionaries(NAMES | st.text(max_size=3), TREES, max_size=5))
def test_any_tree_is_answered_as_a_resource(kind, tree):
    answer({**tree, "resourceType": kind}, None)


def answer(tree, type_name):
    told = refusal(tree, type_name)
    assert {i.code for i in told} <= CODES
    assert {i.severity for i in told} <= {"error"}
    assert [i for i in issues(tree, type_name) if i.severity == "error"] == told


def refusal(tree, type_name):
    try:
        check(tree, type_name)
    except Invalid as refused:
        return list(refused.issues)
    return []


@settings(max_examples=300, deadline=None)
@given(SEEDS, st.integers(1, 3))
def test_a_mutated_resource_is_answered_and_both_ways_agree(random, mutations):
    made = resource(random)
    for _ in range(mutations):
        mutate(random, made)
    answer(made, None)
    if not isinstance(made.get("resourceType"), str):
        return
    expected = walked(slow, made)
    for _ in range(3):
        assert walked(quick, made) == expected


def mutate(random, made):
    """Change one place in the tree: another value, another name, one more, one less."""
    containers = [c for c in objects(made) if c]
    if not containers:
        return  # changes before have left nothing that could be changed
    container = random.choice(containers)
    key = random.choice(list(container)) if isinstance(container, dict) else random.randrange(len(container))
    junk = [
        None,
        "",
        " ",
        0,
        -1,
        1.5,
        True,
        [],
        {},
        [None],
        ["a"],
        {"a": 1},
        {"id": "a"},
        "#x",
        "Patient/1",
        Number("1e99"),
        2**40,
        "\x00",
        deepcopy(made),
    ]
    match random.randrange(4):
        case 0:
            container[key] = random.choice(junk)
        case 1:
            del container[key]
        case 2 if isinstance(container, dict):
            container[random.choice(["foo", "_" + key, key.upper(), "valueString", "extension"])] = random.choice(junk)
        case _:
            container[key] = [container[key]] if not isinstance(container[key], list) else container[key] * 2


def objects(value):
    if isinstance(value, dict | list):
        yield value
        for child in value.values() if isinstance(value, dict) else value:
            yield from objects(child)


@settings(max_examples=150, deadline=None)
@given(SEEDS)
def test_both_ways_collect_the_same(random):
    made = resource(random)
    twin = json.loads(json.dumps(made))
    expected = walked(slow, made)
    for _ in range(3):
        found, references, uris = walked(quick, made)
        assert (found, references) == expected[:2]
        assert [(id(container), key) for container, key in uris] == [
            (id(container), key) for container, key in expected[2]
        ]
    assert json.loads(json.dumps(made)) == twin


def test_functions_for_shapes_are_limited():
    types = Types(Objects(meetings=1, room=3), warnings=False)
    for seed in range(200):
        made = resource(Random(seed), "Patient")
        assert walked(types, made)[0] == [f for f in walked(slow, made)[0] if f.severity == "error"]
