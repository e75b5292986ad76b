"""https://hl7.org/fhir/R4/valueset.html#compositions, https://hl7.org/fhir/R4/codesystem.html#subsumption"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from app.errors import Malformed
from app.fhir.terminology.code_systems import CodeSystem
from app.fhir.terminology.concepts import EVERY_CODE, Codes, Concepts, difference, intersection, union
from app.fhir.terminology.library import Library, Wanted, code_system, needed, value_set
from app.fhir.terminology.memory import Definitions
from app.fhir.terminology.value_sets import expand, related

Json = dict[str, Any]
S, T, UNKNOWN = "https://example.org/s", "https://example.org/t", "https://example.org/unknown"


def concept(code: str, *nested: Json, **properties: Any) -> Json:
    """A concept; `properties` are of the value type string, boolean or code."""
    kinds = {bool: "valueBoolean", str: "valueCode", int: "valueInteger"}
    found: Json = {"code": code, "display": code.upper()}
    if nested:
        found["concept"] = list(nested)
    pairs = ((name, one) for name, given in properties.items() for one in (given if type(given) is list else [given]))
    if stated := [{"code": name, kinds[type(value)]: value} for name, value in pairs]:
        found["property"] = stated
    return found


def system(*concepts: Json, url: str = S, **elements: Any) -> Json:
    return {"resourceType": "CodeSystem", "id": url, "url": url, "content": "complete", "concept": list(concepts)} | (
        elements
    )


def valued(url: str, *include: Json, exclude: Iterable[Json] = (), **elements: Any) -> Json:
    compose: Json = {"include": list(include)} | ({"exclude": list(exclude)} if exclude else {})
    return {"resourceType": "ValueSet", "id": url, "url": url, "compose": compose} | elements


def listed(*codes: str, url: str = S) -> Json:
    return {"system": url, "concept": [{"code": code} for code in codes]}


def filtered(*filters: tuple[str, str, str], url: str = S) -> Json:
    return {"system": url, "filter": [{"property": p, "op": op, "value": value} for p, op, value in filters]}


def library(*definitions: Json) -> Library:
    found = Library()
    found.add(definitions)
    return found


def codes(concepts: Concepts, url: str = S) -> set[str]:
    """The codes of the set, which must be of one system and listed one by one."""
    assert set(concepts) <= {url}
    found = concepts.get(url, Codes())
    assert not found.others
    return set(found.listed)


def expanded(value: Json, *definitions: Json) -> Concepts:
    return expand([value_set(value["url"])], library(value, *definitions))


def refusal(value: Json, *definitions: Json) -> str:
    with pytest.raises(Malformed) as caught:
        expanded(value, *definitions)
    return caught.value.issues[0].code


# a ── b ── d        f (alone)
#   └─ c ── d, e
ANIMALS = system(
    concept("a", concept("b", concept("d", legs=4)), concept("c", concept("e", legs=6, tame=True), legs=4)),
    concept("f", legs=[2, 4], inactive=True),
    property=[{"code": "legs", "type": "integer"}, {"code": "tame", "type": "boolean"}],
)
TREE = ANIMALS | {
    "property": [*ANIMALS["property"], {"code": "parent", "uri": "http://hl7.org/fhir/concept-properties#parent"}]
}
TREE["concept"] = [
    concept("a", concept("b", concept("d", legs=4, parent="c")), concept("c", concept("e", legs=6, tame=True), legs=4)),
    concept("f", legs=[2, 4], inactive=True),
]

FILTERS: list[tuple[tuple[str, str, str], str]] = [
    (("concept", "is-a", "c"), "cde"),
    (("code", "is-a", "c"), "cde"),
    (("concept", "is-a", "f"), "f"),
    (("concept", "descendent-of", "c"), "de"),
    (("concept", "descendent-of", "f"), ""),
    (("concept", "is-not-a", "c"), "abf"),
    (("concept", "generalizes", "d"), "abcd"),
    (("concept", "generalizes", "a"), "a"),
    (("concept", "in", "a, f,zz"), "af"),
    (("concept", "not-in", "a,b,c"), "def"),
    (("legs", "=", "4"), "cdf"),
    (("legs", "=", "44"), ""),
    (("legs", "in", "2,6"), "ef"),
    (("legs", "not-in", "4"), "abe"),
    (("legs", "exists", "true"), "cdef"),
    (("legs", "exists", "false"), "ab"),
    (("tame", "=", "true"), "e"),
    (("code", "regex", "[a-c]|f"), "abcf"),
    (("code", "regex", "a."), ""),
    (("display", "=", "B"), "b"),
    (("display", "regex", "^[D-F]$"), "def"),
    (("parent", "=", "c"), "de"),
    (("child", "=", "d"), "bc"),
    (("parent", "exists", "false"), "af"),
]


@pytest.mark.parametrize(("one", "found"), FILTERS)
def test_each_filter(one: tuple[str, str, str], found: str):
    """#filters: what each operator lets through, by nesting and by the property parent."""
    assert codes(expanded(valued("v", filtered(one)), TREE)) == set(found)


def test_filters_hold_together():
    both = filtered(("concept", "is-a", "a"), ("legs", "=", "4"))
    assert codes(expanded(valued("v", both), TREE)) == {"c", "d"}


BAD_FILTERS = [
    (("color", "=", "red"), "not-supported"),
    (("legs", "is-a", "a"), "not-supported"),
    (("concept", "like", "a"), "not-supported"),
    (("concept", "is-a", "zz"), "not-found"),
    (("legs", "exists", "maybe"), "not-supported"),
    (("code", "regex", "("), "not-supported"),
    (("code", "regex", r"(a)\1"), "not-supported"),
    (("code", "regex", "((a{500}){500})"), "too-costly"),
]


@pytest.mark.parametrize(("one", "code"), BAD_FILTERS)
def test_filters_that_cannot_be_understood_are_refused(one: tuple[str, str, str], code: str):
    assert refusal(valued("v", filtered(one)), TREE) == code


def test_a_regular_expression_cannot_run_for_ever():
    """What makes a searching matcher try every way ends at once."""
    many = system(*(concept("a" * 100 + str(n)) for n in range(200)))
    assert codes(expanded(valued("v", filtered(("code", "regex", "(a*)*b"))), many)) == set()


@pytest.mark.parametrize(
    ("pattern", "fits", "fails"),
    [
        (r"\d{2,3}-\d", ["12-3", "123-4"], ["1-2", "1234-5", "12-34"]),
        ("(ab?)+c", ["ac", "abac"], ["c", "abb"]),
        ("[^a-c]*", ["", "xyz"], ["xa"]),
        (r"x\.y", ["x.y"], ["xzy"]),
        ("a{0}b", ["b"], ["ab"]),
        ("^(a|b)$", ["a", "b"], ["ab", ""]),
    ],
)
def test_regular_expressions_are_for_the_whole_value(pattern: str, fits: list[str], fails: list[str]):
    given = system(*(concept(text) for text in (*fits, *fails)))
    assert codes(expanded(valued("v", filtered(("code", "regex", pattern))), given)) == set(fits)


def test_a_regular_expression_has_a_limit_of_work():
    large = system(*(concept("ab" * 90 + str(n)) for n in range(1000)))
    assert refusal(valued("v", filtered(("code", "regex", "(a|b)*a(a|b|[0-9]){400}x"))), large) == "too-costly"


def test_listed_codes_need_no_code_system():
    value = valued("v", listed("x", "y", url=UNKNOWN))
    assert list(needed(value)) == []
    assert codes(expanded(value), UNKNOWN) == {"x", "y"}


def test_a_whole_system_is_every_concept_of_it_nested_ones_too():
    assert codes(expanded(valued("v", {"system": S}), ANIMALS)) == set("abcdef")


@pytest.mark.parametrize("stored", [[], [system(content="fragment", url=UNKNOWN)]])
def test_a_whole_system_that_is_not_stored_is_told_by_its_name(stored: list[Json]):
    assert expanded(valued("v", {"system": UNKNOWN}), *stored) == {UNKNOWN: EVERY_CODE}


@pytest.mark.parametrize(
    ("stored", "code"), [([], "not-found"), ([ANIMALS | {"content": "fragment"}], "not-supported")]
)
def test_a_filter_needs_the_whole_code_system(stored: list[Json], code: str):
    assert refusal(valued("v", filtered(("concept", "is-a", "a"))), *stored) == code


def test_excluded_codes_are_left_out_wherever_they_came_from():
    value = valued("v", {"system": S}, listed("b", url=T), exclude=[filtered(("concept", "is-a", "c"))])
    found = expanded(value, TREE)
    assert set(found[S].listed) == {"a", "b", "f"}
    assert set(found[T].listed) == {"b"}


def test_codes_excluded_from_a_system_that_is_not_stored():
    value = valued("v", {"system": UNKNOWN}, exclude=[listed("x", url=UNKNOWN)])
    assert expanded(value) == {UNKNOWN: Codes(frozenset("x"), True)}


def test_an_excluded_system_takes_all_of_its_codes_away():
    assert expanded(valued("v", listed("x", url=UNKNOWN), exclude=[{"system": UNKNOWN}])) == {}


def test_value_sets_of_one_include_must_all_hold_a_code():
    one, two = valued("one", listed("a", "b")), valued("two", listed("b", "c"))
    assert codes(expanded(valued("v", {"valueSet": ["one", "two"]}), one, two)) == {"b"}
    assert codes(expanded(valued("v", {"valueSet": ["one"]}, {"valueSet": ["two"]}), one, two)) == {"a", "b", "c"}
    assert codes(expanded(valued("v", {"valueSet": ["one"]} | listed("a", "c")), one)) == {"a"}
    assert codes(expanded(valued("v", {"valueSet": ["one"], "system": S}), one)) == {"a", "b"}


def test_a_value_set_that_includes_itself_is_refused():
    one, two = valued("one", {"valueSet": ["two"]}), valued("two", listed("a"), {"valueSet": ["one"]})
    assert refusal(one, two) == "not-supported"


def test_a_value_set_may_be_included_twice():
    common = valued("common", listed("a"))
    one, two = (valued(name, {"valueSet": ["common"]}) for name in ("one", "two"))
    assert codes(expanded(valued("v", {"valueSet": ["one"]}, {"valueSet": ["two"]}), one, two, common)) == {"a"}


def test_value_sets_may_not_include_one_another_without_end():
    sets = [valued(str(n), {"valueSet": [str(n + 1)]}) for n in range(400)]
    assert refusal(sets[0], *sets[1:]) == "too-costly"


UNIVERSE = frozenset("abcd")
SOME = [Codes(frozenset(text), others) for text in ("", "a", "ab", "bc", "abcd") for others in (False, True)]


@pytest.mark.parametrize("second", SOME)
@pytest.mark.parametrize("first", SOME)
def test_sets_with_and_without_an_end(first: Codes, second: Codes):
    def members(codes: Codes) -> frozenset[str]:
        return UNIVERSE - codes.listed if codes.others else codes.listed

    one, two = members(first), members(second)
    assert members(first | second) == one | two
    assert members(first & second) == one & two
    assert members(~first) == UNIVERSE - one
    assert members(union({S: first}, {S: second})[S]) == one | two
    assert members(difference({S: first}, {S: second}).get(S, Codes())) == one - two
    assert members(intersection({S: first}, {S: second}).get(S, Codes())) == one & two


@pytest.mark.parametrize("value", [valued("v", {"valueSet": ["nowhere"]}), valued("v", filtered(("a", "=", "b")))])
def test_what_is_not_stored_is_refused(value: Json):
    assert refusal(value) == "not-found"


def test_what_a_value_set_needs():
    value = valued(
        "v", {"system": S, "version": "2"}, filtered(("a", "=", "b"), url=T), exclude=[{"valueSet": ["x|1"]}]
    )
    assert set(needed(value)) == {code_system(S, "2"), code_system(T), value_set("x|1")}


@pytest.mark.parametrize(("inactive", "found"), [(False, "ae"), (True, "aef"), (None, "aef")])
def test_inactive_concepts(inactive: bool | None, found: str):
    """ValueSet.compose.inactive: without it they count, as they are listed."""
    value = valued("v", listed("a", "e", "f"))
    if inactive is not None:
        value["compose"]["inactive"] = inactive
    assert codes(expanded(value, ANIMALS)) == set(found)


def test_inactive_concepts_of_a_system_that_is_not_stored_cannot_be_told():
    value = valued("v", {"system": UNKNOWN})
    value["compose"]["inactive"] = False
    assert refusal(value) == "not-found"


EXPANSION: Json = {
    "contains": [
        {"system": S, "code": "a", "abstract": True, "contains": [{"system": S, "code": "b"}]},
        {"display": "group", "contains": [{"system": S, "code": "c"}]},
    ]
}


def test_an_expansion_counts_where_nothing_else_is_said():
    value: Json = {"resourceType": "ValueSet", "id": "v", "url": "v", "expansion": EXPANSION}
    assert codes(expanded(value)) == {"b", "c"}
    assert codes(expanded(value | {"compose": {"include": [listed("z")]}})) == {"z"}


@pytest.mark.parametrize(
    "more",
    [
        {"total": 5},
        {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/valueset-toocostly", "valueBoolean": True}]},
    ],
)
def test_a_part_of_an_expansion_is_refused(more: Json):
    assert (
        refusal({"resourceType": "ValueSet", "id": "v", "url": "v", "expansion": EXPANSION | more}) == "not-supported"
    )


def test_a_value_set_without_content_is_refused():
    assert refusal({"resourceType": "ValueSet", "id": "v", "url": "v"}) == "not-supported"


def test_too_many_codes():
    many = [f"c{n}" for n in range(10_001)]
    assert refusal(valued("v", listed(*many))) == "too-costly"
    assert len(codes(expanded(valued("v", listed(*many[1:]))))) == 10_000


# -- subsumption


def subsumed(code: str, *definitions: Json, below: bool = True) -> set[str]:
    return codes(related(S, code, library(*definitions), below=below))


def test_subsumption_includes_the_concept_itself():
    assert subsumed("c", TREE) == {"c", "d", "e"}
    assert subsumed("d", TREE, below=False) == {"a", "b", "c", "d"}
    assert subsumed("f", TREE) == {"f"}


def test_children_as_a_property():
    assert subsumed(
        "a", system(concept("a", child=["b", "c"]), concept("b"), concept("c", child="d"), concept("d"))
    ) == (set("abcd"))


def test_a_circle_of_concepts_ends():
    circle = system(concept("a", parent="c"), concept("b", parent="a"), concept("c", parent="b"))
    assert subsumed("a", circle) == {"a", "b", "c"}


def test_a_deep_hierarchy():
    made = concept("c0")
    for n in range(1, 3000):
        made = concept(f"c{n}", made)
    assert len(CodeSystem(system(made)).below("c2999")) == 3000


@pytest.mark.parametrize("meaning", ["grouped-by", "part-of", "classified-with"])
def test_other_hierarchies_do_not_subsume(meaning: str):
    with pytest.raises(Malformed) as caught:
        subsumed("a", TREE | {"hierarchyMeaning": meaning})
    assert caught.value.issues[0].code == "not-supported"


@pytest.mark.parametrize(
    ("code", "stored", "issue"),
    [
        ("zz", [TREE], "not-found"),
        ("a", [], "not-found"),
        ("a", [TREE | {"content": "example"}], "not-supported"),
    ],
)
def test_subsumption_that_cannot_be_told(code: str, stored: list[Json], issue: str):
    with pytest.raises(Malformed) as caught:
        subsumed(code, *stored)
    assert caught.value.issues[0].code == issue
    assert "zz" not in caught.value.issues[0].diagnostics


# -- versions


def dated(number: int, version: str | None, status: str = "active") -> Json:
    found = {"resourceType": "ValueSet", "id": str(number), "url": "v", "status": status}
    found |= {"meta": {"lastUpdated": f"2026-01-{number:02}T00:00:00Z"}}
    return found | ({"version": version} if version else {})


@pytest.mark.parametrize(
    ("versions", "found"),
    [
        ([(1, "1.9.0", "active"), (2, "1.10.0", "active"), (3, "1.2", "draft")], 2),
        ([(1, "2.0.0", "active"), (2, "2.0.0-draft", "active")], 1),
        ([(1, "2", "active"), (2, "2.0.0", "active")], 2),
        ([(1, "9", "retired"), (2, "1", "active")], 2),
        ([(1, "9", "retired"), (2, "1", "retired")], 1),
        ([(1, "9", "active"), (2, "spring", "active")], 2),
        ([(1, "9", "active"), (2, None, "active")], 2),
        ([(1, "20260101", "active"), (2, "20251231", "active")], 1),
    ],
)
def test_the_version_that_counts(versions: list[tuple[int, str | None, str]], found: int):
    chosen = library(*(dated(*one) for one in versions)).find(value_set("v"))
    assert chosen is not None
    assert chosen["id"] == str(found)


def test_a_version_that_is_asked_for():
    known = library(dated(1, "1", "retired"), dated(2, "2"))
    assert (known.find(value_set("v|1")) or {})["id"] == "1"
    assert known.find(value_set("v|3")) is None
    assert (known.find(Wanted("ValueSet", id="1")) or {})["id"] == "1"


def test_what_was_used_last_is_remembered():
    memory = Definitions(most_bytes=100)
    for number in (1, 2):
        memory.put((number, 1), {"id": str(number)}, 40)
    assert memory.get((1, 1)) == {"id": "1"}
    memory.put((3, 1), {"id": "3"}, 40)
    memory.put((4, 1), {"id": "4"}, 101)
    assert [memory.get((number, 1)) is not None for number in (1, 2, 3, 4)] == [True, False, True, False]
    assert memory.get((1, 2)) is None
