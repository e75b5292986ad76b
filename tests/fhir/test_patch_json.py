"""JSON Patch: the operations of RFC 6902, their limits, and laws that hold for every document."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Malformed, Unprocessable
from app.fhir.json import Number, loads
from app.fhir.patch import json_patch as patch_json
from app.fhir.patch.json_patch import apply, same

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "active": True,
    "name": [{"family": "A", "given": ["x", "y"]}, {"family": "B"}],
    "a/b": {"m~n": 1},
    "": "empty",
    "~1": "tilde",
}


@pytest.mark.parametrize(
    ("operation", "path", "expected"),
    [
        ({"op": "add", "path": "/gender", "value": "male"}, "gender", "male"),
        ({"op": "add", "path": "/active", "value": False}, "active", False),
        ({"op": "add", "path": "/name/0/given/-", "value": "z"}, "name", [["x", "y", "z"], None]),
        ({"op": "add", "path": "/name/0/given/0", "value": "z"}, "name", [["z", "x", "y"], None]),
        ({"op": "add", "path": "/name/0/given/2", "value": "z"}, "name", [["x", "y", "z"], None]),
        ({"op": "remove", "path": "/name/0/given/0"}, "name", [["y"], None]),
        ({"op": "remove", "path": "/name/0"}, "name", [None]),
        ({"op": "replace", "path": "/name/0/given/1", "value": "z"}, "name", [["x", "z"], None]),
        ({"op": "replace", "path": "/a~1b/m~0n", "value": 2}, "a/b", {"m~n": 2}),
        ({"op": "replace", "path": "/", "value": "e"}, "", "e"),
        ({"op": "replace", "path": "/~01", "value": "t"}, "~1", "t"),
        ({"op": "move", "from": "/name/0", "path": "/name/1"}, "name", [None, ["x", "y"]]),
        ({"op": "move", "from": "/name/1", "path": "/name/1"}, "name", [["x", "y"], None]),
        ({"op": "move", "from": "/active", "path": "/deceasedBoolean"}, "deceasedBoolean", True),
        ({"op": "copy", "from": "/name/0/given", "path": "/name/1/given"}, "name", [["x", "y"], ["x", "y"]]),
        ({"op": "test", "path": "/name/1", "value": {"family": "B"}, "unknown": 1}, "active", True),
        ({"op": "add", "path": "/gender", "value": None}, "gender", None),
    ],
)
def test_operations(operation: dict[str, Any], path: str, expected: Any) -> None:
    before = deepcopy(PATIENT)
    result = apply(PATIENT, [operation])
    found = [name.get("given") for name in result["name"]] if path == "name" else result[path]
    assert found == expected
    assert before == PATIENT


def test_the_whole_document_can_be_replaced_and_tested() -> None:
    other = {"resourceType": "Patient", "id": "x"}
    for name in ("add", "replace"):
        assert (
            apply(PATIENT, [{"op": name, "path": "", "value": other}, {"op": "test", "path": "", "value": other}])
            == other
        )
    with pytest.raises(Unprocessable):
        apply(PATIENT, [{"op": "replace", "path": "", "value": []}])


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "/gender"},
        {"op": "remove", "path": ""},
        {"op": "remove", "path": "/name/2"},
        {"op": "remove", "path": "/name/-"},
        {"op": "remove", "path": "/active/x"},
        {"op": "replace", "path": "/gender", "value": 1},
        {"op": "replace", "path": "/name/-", "value": 1},
        {"op": "add", "path": "/name/3", "value": 1},
        {"op": "add", "path": "/name/01", "value": 1},
        {"op": "add", "path": "/name/x", "value": 1},
        {"op": "add", "path": "/name/-1", "value": 1},
        {"op": "add", "path": "/name/1e0", "value": 1},
        {"op": "add", "path": "/name/²", "value": 1},
        {"op": "add", "path": "/name/99999999999999999999", "value": 1},
        {"op": "add", "path": "/absent/x", "value": 1},
        {"op": "add", "path": "/active/x", "value": 1},
        {"op": "move", "from": "/name", "path": "/name/0/x"},
        {"op": "move", "from": "/absent", "path": "/absent"},
        {"op": "copy", "from": "/absent", "path": "/x"},
        {"op": "test", "path": "/absent", "value": None},
        {"op": "test", "path": "/active", "value": 1},
        {"op": "test", "path": "/active", "value": "True"},
    ],
)
def test_what_cannot_be_done(operation: dict[str, Any]) -> None:
    before = deepcopy(PATIENT)
    with pytest.raises(Unprocessable):
        apply(PATIENT, [{"op": "replace", "path": "/active", "value": True}, operation])
    assert before == PATIENT


@pytest.mark.parametrize(
    "operations",
    [
        None,
        {},
        "[]",
        [1],
        [{}],
        [{"op": "delete", "path": "/x"}],
        [{"op": ["add"], "path": "/x"}],
        [{"op": "remove"}],
        [{"op": "remove", "path": 1}],
        [{"op": "remove", "path": Number("1.0")}],
        [{"op": "remove", "path": "x"}],
        [{"op": "remove", "path": "/x~2"}],
        [{"op": "remove", "path": "/x~"}],
        [{"op": "add", "path": "/x"}],
        [{"op": "test", "path": "/x"}],
        [{"op": "move", "path": "/x"}],
        [{"op": "copy", "path": "/x", "from": 1}],
        [{"op": "remove", "path": "/active"}] * (patch_json.MAX_OPERATIONS + 1),
    ],
)
def test_what_is_no_json_patch(operations: Any) -> None:
    with pytest.raises(Malformed):
        apply(PATIENT, operations)


def test_messages_hold_no_content() -> None:
    with pytest.raises(Unprocessable) as caught:
        apply({"name": "Secret"}, [{"op": "test", "path": "/name", "value": "Other"}])
    assert "Secret" not in str(caught.value)
    assert "Other" not in str(caught.value)


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ("1", "1.00", True),
        ("1e2", "100", True),
        ("0.1", "0.10", True),
        ("0", "-0", True),
        ("1", "true", False),
        ("1.0", '"1.0"', False),
        ("[1,2]", "[2,1]", False),
        ('{"a":1,"b":2.0}', '{"b":2,"a":1.0}', True),
        ('{"a":1}', '{"a":1,"b":null}', False),
        ("null", "false", False),
        ('""', "null", False),
        ("1e999999", "1e999998", False),
    ],
)
def test_equality(left: str, right: str, equal: bool) -> None:
    assert same(loads(left.encode()), loads(right.encode())) is equal


def test_copies_cannot_blow_up() -> None:
    doubling = [{"op": "copy", "from": "/name", "path": "/name/-"}] * 40
    with pytest.raises(Unprocessable, match="copies too much"):
        apply({"name": ["x" * 100]}, doubling)


def test_nesting_cannot_blow_up() -> None:
    deepening = [{"op": "copy", "from": "/a", "path": "/a" * (2**n + 1)} for n in range(17)]
    with pytest.raises(Unprocessable):
        apply({"a": {}}, deepening)


def test_inserted_values_are_not_shared_with_the_patch() -> None:
    value: dict[str, Any] = {"given": ["x"]}
    patch = [{"op": "add", "path": "/n", "value": value}, {"op": "add", "path": "/n/given/-", "value": "y"}]
    apply({}, patch)
    assert value == {"given": ["x"]}


_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from([Number("1.0"), Number("2.50")])
    | st.text(max_size=3)
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
_DOCUMENTS = st.dictionaries(st.text(max_size=3), _VALUES, max_size=4)


def _pointer(path: tuple[Any, ...]) -> str:
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in path)


def _difference(old: Any, new: Any, path: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
    """A patch that makes `new` of `old`."""
    if isinstance(old, dict) and isinstance(new, dict):
        gone = [{"op": "remove", "path": _pointer((*path, name))} for name in old if name not in new]
        kept = [step for name in old if name in new for step in _difference(old[name], new[name], (*path, name))]
        fresh = [{"op": "add", "path": _pointer((*path, n)), "value": v} for n, v in new.items() if n not in old]
        return gone + kept + fresh
    if isinstance(old, list) and isinstance(new, list):
        shared = min(len(old), len(new))
        kept = [step for n in range(shared) for step in _difference(old[n], new[n], (*path, n))]
        gone = [{"op": "remove", "path": _pointer((*path, shared))}] * (len(old) - shared)
        return kept + gone + [{"op": "add", "path": _pointer((*path, "-")), "value": v} for v in new[shared:]]
    return [] if same(old, new) else [{"op": "replace", "path": _pointer(path), "value": new}]


@given(_DOCUMENTS, _DOCUMENTS)
def test_a_difference_leads_from_one_to_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    untouched = deepcopy(old)
    result = apply(old, [*_difference(old, new), {"op": "test", "path": "", "value": new}])
    assert same(result, new)
    assert same(old, untouched)


@given(_DOCUMENTS, _VALUES)
def test_operations_undo_each_other(document: dict[str, Any], value: Any) -> None:
    fresh = "/fresh name"
    added = apply(document, [{"op": "add", "path": fresh, "value": value}])
    assert same(added["fresh name"], value)
    assert same(apply(added, [{"op": "remove", "path": fresh}]), document)
    away_and_back = [
        {"op": "move", "from": fresh, "path": "/other name"},
        {"op": "move", "from": "/other name", "path": fresh},
    ]
    assert same(apply(added, away_and_back), added)
    copied = [{"op": "copy", "from": fresh, "path": "/other name"}, {"op": "remove", "path": "/other name"}]
    assert same(apply(added, copied), added)


@given(_DOCUMENTS, st.lists(st.fixed_dictionaries({
    "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "other"]),
    "path": st.text("/~01a-", max_size=6), "from": st.text("/~01a-", max_size=6), "value": _VALUES,
}), max_size=4))  # fmt: skip
def test_any_patch_is_applied_or_refused(document: dict[str, Any], operations: list[dict[str, Any]]) -> None:
    untouched = deepcopy(document)
    with suppress(Malformed, Unprocessable):
        assert isinstance(apply(document, operations), dict)
    assert same(document, untouched)
