"""The table of search parameters: stable ids, and rows shared only where that is exact."""

from __future__ import annotations

import pytest

from app.fhir.definitions import required_codes, resource_types
from app.fhir.search.parameters import REFERENCE_LINK, Kind, SearchParameter, parameter, parameters
from tools.generate_search_parameters import definitions, generate

EVERY = [p for name in resource_types() for p in parameters(name).values()]


def named(type_name: str, code: str) -> SearchParameter:
    found = parameter(type_name, code)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("type_name", "code", "id_"),
    [
        ("Account", "_id", 3),
        ("DocumentReference", "relationship", 938),
        ("Observation", "code", 2069),
        ("Observation", "subject", 2104),
        ("Patient", "_id", 2219),
        ("VisionPrescription", "status", 3165),
    ],
)
def test_ids_never_change_since_databases_hold_them(type_name: str, code: str, id_: int) -> None:
    assert named(type_name, code).id == id_


def test_ids_are_unique_and_fit_the_columns() -> None:
    ids = [p.id for p in EVERY]
    assert len(set(ids)) == len(ids)
    assert min(ids) > REFERENCE_LINK
    assert max(ids) < 2**15


def test_every_type_has_the_parameters_of_all_resources() -> None:
    for name in resource_types():
        assert {"_id", "_lastUpdated", "_profile", "_security", "_source", "_tag"} <= set(parameters(name))
    assert "_text" in parameters("Patient")
    assert "_text" not in parameters("Bundle")  # not a DomainResource


def test_rows_are_never_looked_for_where_none_are_written() -> None:
    by_id = {p.id: p for p in EVERY}
    for found in EVERY:
        owners = [by_id[id_] for id_ in found.rows_of]
        assert all(owner.has_rows and owner.type == found.type and owner.kind == found.kind for owner in owners)


@pytest.mark.parametrize(
    ("type_name", "code", "shared", "target_type"),
    [
        ("Observation", "combo-code", ["code", "component-code"], None),
        ("Observation", "combo-value-quantity", ["component-value-quantity", "value-quantity"], None),
        ("Observation", "combo-code-value-quantity", ["code-value-quantity", "component-code-value-quantity"], None),
        ("Patient", "phonetic", ["name"], None),
        ("Observation", "patient", ["subject"], "Patient"),
        ("AuditEvent", "patient", ["agent", "entity"], "Patient"),
        ("Encounter", "practitioner", ["participant"], "Practitioner"),
        ("EpisodeOfCare", "care-manager", ["care-manager"], None),  # nothing else covers careManager
        ("Patient", "phone", ["phone"], None),  # only some of telecom
        ("Observation", "code", ["code"], None),
    ],
)
def test_parameters_that_find_the_same_share_rows(
    type_name: str, code: str, shared: list[str], target_type: str | None
) -> None:
    found = named(type_name, code)
    assert set(found.rows_of) == {named(type_name, other).id for other in shared}
    assert found.target_type == target_type


@pytest.mark.parametrize(
    ("type_name", "code"),
    [
        *(("Patient", code) for code in ("_text", "_content", "_filter", "_query")),
        ("Bundle", "composition"),
        ("Bundle", "message"),
    ],
)
def test_parameters_without_an_expression_are_listed_but_not_supported(type_name: str, code: str) -> None:
    found = named(type_name, code)
    assert found.expression is None
    assert not found.supported


def test_id_and_last_updated_are_columns() -> None:
    found = [named("Task", code) for code in ("_id", "_lastUpdated")]
    assert [(p.column, p.rows_of, p.supported) for p in found] == [("id", (), True), ("last_updated", (), True)]


def test_components_have_the_kind_of_their_value() -> None:
    """HL7's package exchanges the two definitions of this composite."""
    components = named("DocumentReference", "relationship").components
    assert [(c.kind, c.expression) for c in components] == [(Kind.TOKEN, "code"), (Kind.REFERENCE, "target")]


def test_single_is_said_only_of_what_cannot_repeat() -> None:
    assert not named("Patient", "birthdate").multiple
    assert not named("Observation", "date").multiple
    assert named("Patient", "identifier").multiple
    assert named("Observation", "code").multiple  # a concept has several codings


def test_unknown_names_are_not_found() -> None:
    assert parameter("Patient", "nonsense") is None
    with pytest.raises(KeyError):
        parameters("Nonsense")


def definition(code: str, expression: str, kind: str = "token") -> dict[str, object]:
    url = f"http://example.org/{code}"
    return {"id": code, "code": code, "type": kind, "base": ["Patient"], "expression": expression, "url": url}


def test_generating_again_keeps_ids_and_appends_new_ones() -> None:
    first = generate([definition("m", "Patient.gender"), definition("q", "Patient.active")], [])
    again = generate([definition("q", "Patient.active"), definition("a", "Patient.language")], first)
    assert {row["code"]: row["id"] for row in first} == {"m": 1, "q": 2}
    assert {row["code"]: row["id"] for row in again} == {"q": 2, "a": 3}


def test_the_bundle_that_hl7_publishes_is_read_like_a_list() -> None:
    part = {"definition": "http://hl7.org/fhir/SearchParameter/gender", "expression": "gender"}
    pair = definition("pair", "Patient", "composite") | {"component": [part]}
    silent = {key: value for key, value in definition("silent", "").items() if key != "expression"}
    listed = [definition("gender", "Patient.gender"), pair, silent]
    bundle = {"resourceType": "Bundle", "entry": [{"resource": each} for each in listed]}
    rows = {row["code"]: row for row in generate(definitions(bundle), [])}
    assert rows["pair"]["components"] == [{"code": "gender", "kind": "token", "expression": "gender"}]
    assert "expression" not in rows["silent"]


def test_generating_shares_rows_only_of_equal_sets_and_kinds() -> None:
    gender, active = definition("gender", "Patient.gender"), definition("active", "Patient.active")
    both = definition("both", "Patient.gender | Patient.active")
    other_kind = definition("string", "Patient.gender", "string")
    shared = {row["code"]: row.get("union_of") for row in generate([gender, active, both, other_kind], [])}
    assert shared == {"active": None, "both": ["active", "gender"], "gender": None, "string": None}
    assert all("union_of" not in row for row in generate([gender, both], []))


def test_no_code_stands_in_two_systems_so_that_a_binding_implies_one() -> None:
    for systems in required_codes().values():
        codes = [code for listed in systems.values() for code in listed]
        assert len(set(codes)) == len(codes)
