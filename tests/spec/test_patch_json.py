"""JSON Patch: https://hl7.org/fhir/R4/http.html#patch and RFC 6902."""

from __future__ import annotations

from typing import Any

import pytest

from tests.spec.api import JSON_PATCH, Fhir, exact, patient, problem, success, unique

GIVEN = patient(
    active=True,
    birthDate="1970-03",
    _birthDate={"extension": [{"url": "https://example.org/e", "valueString": "a/b~c"}]},
    name=[{"family": "One", "given": ["A", "B"]}],
)

APPLIES: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "replace": ([{"op": "replace", "path": "/active", "value": False}], {"active": False}),
    "add": ([{"op": "add", "path": "/gender", "value": "other"}], {"gender": "other"}),
    "add replaces": ([{"op": "add", "path": "/active", "value": False}], {"active": False}),
    "append": (
        [{"op": "add", "path": "/name/0/given/-", "value": "C"}],
        {"name": [{"family": "One", "given": ["A", "B", "C"]}]},
    ),
    "insert": (
        [{"op": "add", "path": "/name/0/given/1", "value": "C"}],
        {"name": [{"family": "One", "given": ["A", "C", "B"]}]},
    ),
    "add at the end by number": (
        [{"op": "add", "path": "/name/0/given/2", "value": "C"}],
        {"name": [{"family": "One", "given": ["A", "B", "C"]}]},
    ),
    "remove": ([{"op": "remove", "path": "/name/0/given/0"}], {"name": [{"family": "One", "given": ["B"]}]}),
    "move": (
        [{"op": "move", "from": "/name/0/given/0", "path": "/name/0/given/1"}],
        {"name": [{"family": "One", "given": ["B", "A"]}]},
    ),
    "copy": (
        [{"op": "copy", "from": "/name/0/family", "path": "/name/0/text"}],
        {"name": [{"family": "One", "given": ["A", "B"], "text": "One"}]},
    ),
    "test that holds": (
        [{"op": "test", "path": "/active", "value": True}, {"op": "replace", "path": "/active", "value": False}],
        {"active": False},
    ),
    "several": (
        [{"op": "remove", "path": "/active"}, {"op": "add", "path": "/active", "value": False}],
        {"active": False},
    ),
    "the value keeps its extension": (
        [{"op": "replace", "path": "/birthDate", "value": "1971"}],
        {"birthDate": "1971"},
    ),
    "unknown members are ignored": (
        [{"op": "replace", "path": "/active", "value": False, "comment": "why"}],
        {"active": False},
    ),
}


@pytest.mark.parametrize("name", APPLIES)
async def test_applies(fhir: Fhir, name: str):
    """RFC 6902 4: every operation, and nothing but what it says."""
    operations, change = APPLIES[name]
    made = await fhir.created(GIVEN)
    now = success(await fhir.patch(f"Patient/{made['id']}", operations), 200)
    assert {k: v for k, v in now.items() if k not in ("id", "meta")} == GIVEN | change


async def test_pointers_escape_slash_and_tilde(fhir: Fhir):
    """RFC 6901 4: ~1 is a slash, ~0 is a tilde; a member of such a name is no element of FHIR."""
    made = await fhir.created(GIVEN)
    operations = [{"op": "add", "path": "/a~1b~0c", "value": 1}]
    problem(await fhir.patch(f"Patient/{made['id']}", operations), 400, 422)


FAILS: dict[str, list[Any]] = {
    "test": [{"op": "test", "path": "/active", "value": False}],
    "test after a change": [
        {"op": "replace", "path": "/active", "value": False},
        {"op": "test", "path": "/active", "value": True},
    ],
    "test: 1 is not true": [{"op": "test", "path": "/active", "value": 1}],
    "remove of nothing": [{"op": "remove", "path": "/gender"}],
    "replace of nothing": [{"op": "replace", "path": "/gender", "value": "other"}],
    "beyond the end": [{"op": "add", "path": "/name/0/given/3", "value": "C"}],
    "parent of nothing": [{"op": "add", "path": "/contact/0/gender", "value": "other"}],
    "move of nothing": [{"op": "move", "from": "/gender", "path": "/active"}],
    "remove after the end": [{"op": "remove", "path": "/name/0/given/-"}],
}


@pytest.mark.parametrize("name", FAILS)
async def test_an_operation_that_cannot_be_done_is_422_and_changes_nothing(fhir: Fhir, name: str):
    """RFC 5789 2.2: a failing `test`, or a path that leads nowhere; a patch is applied whole or not at all."""
    made = await fhir.created(GIVEN)
    problem(await fhir.patch(f"Patient/{made['id']}", FAILS[name]), 422)
    assert await fhir.read(f"Patient/{made['id']}") == made


MALFORMED: dict[str, bytes] = {
    "not JSON": b"[{",
    "no array": b'{"op":"remove","path":"/active"}',
    "no object": b'["remove"]',
    "unknown operation": b'[{"op":"banana","path":"/active"}]',
    "no operation": b'[{"path":"/active"}]',
    "no path": b'[{"op":"remove"}]',
    "path is no text": b'[{"op":"remove","path":1}]',
    "path is no pointer": b'[{"op":"remove","path":"active"}]',
    "bad escape": b'[{"op":"add","path":"/a~2b","value":1}]',
    "no value": b'[{"op":"add","path":"/gender"}]',
    "no from": b'[{"op":"copy","path":"/gender"}]',
    "duplicate key": b'[{"op":"remove","op":"add","path":"/active","value":true}]',
    "NaN": b'[{"op":"add","path":"/active","value":NaN}]',
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_patch_is_400_and_changes_nothing(fhir: Fhir, name: str):
    """RFC 5789 2.2: a malformed patch document is 400."""
    made = await fhir.created(GIVEN)
    problem(await fhir.patch(f"Patient/{made['id']}", MALFORMED[name], content_type=JSON_PATCH), 400)
    assert await fhir.read(f"Patient/{made['id']}") == made


INVALID_RESULTS: dict[str, list[Any]] = {
    "empty array": [{"op": "remove", "path": "/name/0/given/1"}, {"op": "remove", "path": "/name/0/given/0"}],
    "null": [{"op": "replace", "path": "/active", "value": None}],
    "text for a boolean": [{"op": "replace", "path": "/active", "value": "true"}],
    "the whole document": [{"op": "replace", "path": "", "value": 7}],
    "unknown element": [{"op": "add", "path": "/banana", "value": 7}],
    "leading zero": [{"op": "replace", "path": "/name/00/family", "value": "x"}],
}


@pytest.mark.parametrize("name", INVALID_RESULTS)
async def test_a_result_that_is_not_r4_changes_nothing(fhir: Fhir, name: str):
    """#patch: the result has to be valid."""
    made = await fhir.created(GIVEN)
    problem(await fhir.patch(f"Patient/{made['id']}", INVALID_RESULTS[name]), 400, 422)
    assert await fhir.read(f"Patient/{made['id']}") == made


async def test_decimals_keep_their_text(fhir: Fhir):
    """datatypes.html#decimal: the patched value and its neighbours keep every digit; `test` compares numbers."""
    one, two = (f'{{"url":"https://example.org/d","valueDecimal":{text}}}' for text in ("1.00", "5"))
    raw = f'{{"resourceType":"Basic","code":{{"text":"{unique()}"}},"extension":[{one},{two}]}}'
    made = await fhir.created(raw.encode())
    operations = (
        b'[{"op":"test","path":"/extension/0/valueDecimal","value":1.0},'
        b'{"op":"replace","path":"/extension/1/valueDecimal","value":2.5000}]'
    )
    response = await fhir.patch(f"Basic/{made['id']}", operations, content_type=JSON_PATCH)
    assert response.status_code == 200
    read = exact((await fhir.get(f"Basic/{made['id']}")).content)
    assert [str(item["valueDecimal"]) for item in read["extension"]] == ["1.00", "2.5000"]


@pytest.mark.parametrize("number", ["1e9999999999999999999999", "-1e-9999999999999999999999", "1e999999999"])
async def test_a_test_for_a_number_beyond_all_bounds_fails(fhir: Fhir, number: str):
    """RFC 6902 4.6: numbers are compared by value, and no stored number has the value of such a one."""
    value = {"url": "https://example.org/i", "valueInteger": 5}
    made = await fhir.created({"resourceType": "Basic", "code": {"text": unique()}, "extension": [value]})
    operations = f'[{{"op":"test","path":"/extension/0/valueInteger","value":{number}}}]'.encode()
    problem(await fhir.patch(f"Basic/{made['id']}", operations, content_type=JSON_PATCH), 422)


async def test_a_patch_that_grows_without_bound_is_refused(fhir: Fhir):
    """A short patch of doubling copies must not fill the memory."""
    made = await fhir.created(GIVEN)
    double = [{"op": "copy", "from": "/name", "path": "/name/-"}] * 60
    problem(await fhir.patch(f"Patient/{made['id']}", double), 400, 413, 422)
    assert await fhir.read(f"Patient/{made['id']}") == made
