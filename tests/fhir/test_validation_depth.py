"""Deep content is refused by depth and never by a fault; and why a few recursions need no measuring."""

from time import perf_counter

import pytest

from app.errors import Invalid
from app.fhir.definitions import children, is_primitive, resource_types
from app.fhir.validation import check
from app.fhir.validation.elements import _BACKBONES, _RECURSIVE
from app.fhir.validation.walk import _HARMLESS_RECURSIONS, DEEPEST


def extension(depth):
    """An extension in which JSON is `2 * depth - 1` levels deep."""
    inner = {"url": "a", "valueString": "b"}
    for _ in range(depth - 1):
        inner = {"url": "a", "extension": [inner]}
    return inner


def identifier(depth):
    return {"value": "a"} if depth == 0 else {"assigner": {"identifier": identifier(depth - 1)}}


def item(depth):
    return {
        "linkId": str(depth),
        "type": "group",
        "item": [item(depth - 1)] if depth else [{"linkId": "x", "type": "string"}],
    }


def bundle(depth):
    inner = {"resourceType": "Patient", "active": True}
    for _ in range(depth):
        inner = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": inner}]}
    return inner


def contained(depth):
    inner = {"resourceType": "Patient", "id": "a"}
    for _ in range(depth):
        inner = {"resourceType": "Patient", "id": "a", "contained": [inner]}
    return inner


BUILDERS = {
    "extension": lambda depth: {"resourceType": "Patient", "extension": [extension(depth)]},
    "identifier": lambda depth: {"resourceType": "Patient", "identifier": [identifier(depth)]},
    "item": lambda depth: {"resourceType": "Questionnaire", "status": "draft", "item": [item(depth)]},
    "bundle": bundle,
}


def levels(value):
    if isinstance(value, dict | list):
        return 1 + max((levels(child) for child in (value.values() if isinstance(value, dict) else value)), default=0)
    return 0


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_the_limit(build):
    depth = max(n for n in range(1, 60) if levels(build(n)) <= DEEPEST)
    check(build(depth))
    with pytest.raises(Invalid, match="nested too deeply"):
        check(build(depth + 1))


def test_the_limit_is_exact():
    assert levels(BUILDERS["extension"](49)) == DEEPEST - 1
    check(BUILDERS["extension"](49))
    deeper = {"resourceType": "Patient", "extension": [extension(49)]}
    place = deeper["extension"][0]
    while "extension" in place:
        place = place["extension"][0]
    del place["valueString"]
    place["valueCoding"] = {"system": "a"}
    assert levels(deeper) == DEEPEST
    check(deeper)
    place["valueCoding"] = {"extension": [{"url": "a", "valueString": "b"}]}
    with pytest.raises(Invalid, match="nested too deeply"):
        check(deeper)


@pytest.mark.parametrize("build", [*BUILDERS.values(), contained], ids=[*BUILDERS, "contained"])
@pytest.mark.parametrize("depth", [60, 120, 150])
def test_deeper_content_is_refused_as_well(build, depth):
    with pytest.raises(Invalid):
        check(build(depth))


def test_many_deep_entries_are_measured_once():
    entries = [{"resource": BUILDERS["extension"](20)} for _ in range(2000)]
    started = perf_counter()
    check({"resourceType": "Bundle", "type": "collection", "entry": entries})
    assert perf_counter() - started < 5


def longest(path, seen=()):
    """The most JSON levels below an object at `path` without passing a place where recursions are counted."""
    assert path not in seen, f"{path} leads back to itself uncounted: {seen}"
    return 1 + max(
        (
            _below(element, kind, (*seen, path))
            for element in children(path).values()
            for kind in element.json_names().values()
        ),
        default=0,
    )


def _below(element, kind, seen):
    array = 1 if element.is_list else 0
    is_counted = kind is None or kind.code in ("Extension", "Resource") or element.path in _RECURSIVE
    if is_counted or is_primitive(kind.code):
        return array
    return array + longest(element.path if kind.code in _BACKBONES else kind.code, seen)


def test_a_few_recursions_cannot_be_too_deep():
    """Between two counted places lie few levels. `contained` is not counted, but occurs once in a resource."""
    stretch = max(longest(kind) for kind in resource_types()) + 1
    assert (_HARMLESS_RECURSIONS + 1) * stretch + stretch <= DEEPEST
