import pytest

from app.errors import Malformed
from app.fhir.definitions import children, compartments, resource_types
from app.fhir.search.chains import MOST_LINKS
from app.fhir.search.compartments import Compartment, in_compartment, member_types, searched
from app.fhir.search.parameters import Kind, parameter, parameters
from app.fhir.search.parser import parse_query
from app.fhir.search.query import Chain, Clause, FullText, Listed, Query, Reverse
from app.fhir.search.shared import by_meaning, shared_parameter

BASE = "https://server.example/fhir"


def search(*types: str, **pairs: str) -> Query:
    return parse_query(types, list(pairs.items()), base_url=BASE)


def condition(type_name: str, name: str, text: str = "x"):
    (found,) = search(type_name, **{name: text}).conditions
    return found


def refusal(type_name: str, name: str, text: str = "x") -> tuple[str, str]:
    with pytest.raises(Malformed) as refused:
        search(type_name, **{name: text})
    (issue,) = refused.value.issues
    return issue.code, issue.diagnostics


def test_a_chain_has_a_branch_for_the_type_that_is_named():
    found = condition("Observation", "subject:Patient.name")
    assert isinstance(found, Chain)
    assert found.parameter == parameter("Observation", "subject")
    ((types, inner),) = found.branches
    assert types == ("Patient",)
    assert isinstance(inner, Clause)
    assert inner.parameter == parameter("Patient", "name")


def test_without_a_type_it_leads_to_all_targets_that_know_the_parameter():
    ((types, inner),) = condition("Observation", "performer.name").branches
    assert set(types) == {"Practitioner", "Organization", "Patient", "RelatedPerson"}
    rows = {number for name in types for number in parameter(name, "name").rows_of}
    assert set(inner.parameter.rows_of) == rows


def test_targets_that_understand_the_parameter_differently_are_branches_of_their_own():
    found = condition("List", "item.manufacturer", "Organization/1")
    kinds = {inner.parameter.kind: set(types) for types, inner in found.branches}
    assert set(kinds) == {Kind.REFERENCE, Kind.STRING}
    assert kinds[Kind.STRING] == {"Device"}


def test_a_part_of_a_reference_leads_to_its_type_only():
    ((types, _),) = condition("Observation", "patient.identifier").branches
    assert types == ("Patient",)


def test_a_chain_through_a_reference_of_many_types_stays_small():
    found = condition("Composition", ".".join(["subject"] * MOST_LINKS) + ".identifier")
    for _ in range(MOST_LINKS - 1):
        ((types, found),) = found.branches
        assert len(types) > 1
    assert isinstance(found, Chain)


def test_canonical_references_are_followed_by_url():
    assert condition("QuestionnaireResponse", "questionnaire.title").canonical
    assert condition("Library", "depends-on.title").canonical
    assert not condition("Observation", "subject:Patient.name").canonical
    assert condition("Questionnaire", "_has:QuestionnaireResponse:questionnaire:status").canonical


def test_has_reads_the_rest_for_the_other_type():
    found = condition("Patient", "_has:Observation:patient:code:not")
    assert isinstance(found, Reverse)
    assert (found.type, found.parameter) == ("Observation", parameter("Observation", "patient"))
    assert isinstance(found.condition, Clause)
    assert (found.condition.parameter, found.condition.modifier) == (parameter("Observation", "code"), "not")


def test_what_is_no_parameter_of_a_type_may_end_a_chain():
    ((types, inner),) = condition("Observation", "subject:Patient._text", "words").branches
    assert (types, type(inner)) == (("Patient",), FullText)
    ((types, inner),) = condition("Observation", "performer._list", "42").branches
    assert inner == Listed(("42",))
    assert {"Patient", "Practitioner"} < set(types)


def test_has_and_chains_nest():
    found = condition("Patient", "_has:Observation:patient:encounter.location.name")
    assert isinstance(found, Reverse)
    assert isinstance(found.condition, Chain)
    found = condition("Observation", "subject:Patient._has:Encounter:patient:_has:Condition:encounter:code")
    ((_, inner),) = found.branches
    assert isinstance(inner, Reverse)
    assert isinstance(inner.condition, Reverse)


@pytest.mark.parametrize("name", ["partof." * MOST_LINKS + "name", "_has:Organization:partof:" * MOST_LINKS + "name"])
def test_the_longest_chain_is_bounded(name: str):
    assert condition("Organization", name)
    longer = f"partof.{name}"
    assert refusal("Organization", longer)[0] == "too-costly"


def test_a_value_that_only_some_targets_can_read_is_asked_of_these():
    found = condition("List", "item.manufacturer", "Acme Limited")
    assert [types for types, _ in found.branches] == [("Device",)]


def test_the_self_link_has_the_value_as_it_was_read():
    assert search("Observation", **{"subject:Patient.name": "a,,b"}).used == (("subject:Patient.name", "a,b"),)
    moment = {"subject:Patient.birthdate": "lt2000-01-01T10:00:00 02:00"}
    assert search("Observation", **moment).used == (("subject:Patient.birthdate", "lt2000-01-01T10:00:00+02:00"),)


@pytest.mark.parametrize("text", ["1", "List/1", f"{BASE}/List/1"])
def test_lists(text: str):
    assert condition("Patient", "_list", f"{text},2") == Listed(("1", "2"))


def test_a_parameter_of_several_types_has_the_rows_of_all():
    types = ("Observation", "Condition", "AllergyIntolerance")
    (found,) = search(*types, patient="1").conditions
    assert isinstance(found, Clause)
    assert set(found.parameter.rows_of) == {n for t in types for n in parameters(t)["patient"].rows_of}
    assert found.parameter.target_type == "Patient"
    (found,) = search("Observation", "Condition", code="1").conditions
    assert found.values == search("Observation", code="1").conditions[0].values


@pytest.mark.parametrize(
    ("types", "code"),
    [
        (("Patient", "Observation"), "name"),
        (("Device", "Immunization"), "manufacturer"),
        (("Patient", "Bundle"), "composition"),
        (resource_types(), "name"),
    ],
)
def test_what_not_all_types_know_alike_is_shared_by_none(types: tuple[str, ...], code: str):
    assert shared_parameter(types, code) is None


def test_one_type_shares_its_own():
    assert shared_parameter(("Patient",), "name") is parameter("Patient", "name")


def test_all_types_share_the_parameters_of_a_resource():
    for code in ("_id", "_lastUpdated", "_tag", "_profile", "_security", "_source"):
        assert shared_parameter(resource_types(), code)
    tag = shared_parameter(resource_types(), "_tag")
    assert tag is not None
    assert len(tag.rows_of) == len(resource_types())


def test_a_part_that_points_to_one_type_can_be_joined_with_whole_parameters_that_point_to_no_other():
    """Joining takes the restriction to one type for all: nothing else gets lost by it."""
    codes = {code for name in resource_types() for code, known in parameters(name).items() if known.target_type}
    for code in codes:
        alike = [parameter(name, code) for group in by_meaning(resource_types(), code) for name in group]
        references = [known for known in alike if known and known.kind is Kind.REFERENCE]
        (only,) = {known.target_type for known in references if known.target_type}
        whole = {known.type for known in references if not known.target_type}
        wider = {name for name in whole if not _held(name, parameters(name)[code].expression or "") <= {only}}
        # R4 forgot the restriction here: in its words, `patient` finds what is for a patient.
        assert wider == ({"DeviceUseStatement"} if code == "patient" else set())


def _held(type_name: str, expression: str) -> set[str]:
    """The types to which the elements of a plain path may point."""
    found: set[str] = set()
    for part in expression.split("|"):
        path = part.strip().removeprefix(f"{type_name}.")
        within = type_name
        *parents, last = path.split(".")
        for parent in parents:
            within = children(within)[parent].path
        found |= {target for each in children(within)[last].types for target in each.targets}
    return found


def test_types_narrow_the_search():
    query = parse_query(resource_types(), [("_type", "Patient,,Group,Patient")], base_url=BASE)
    assert (query.types, query.used) == (("Patient", "Group"), (("_type", "Patient,Group"),))


def test_compartments_are_those_of_the_definition():
    assert [name for name in resource_types() if member_types(name)] == sorted(compartments())
    assert all(centre in member_types(centre) for centre in compartments())
    assert "Medication" not in member_types("Patient")


def test_the_condition_of_a_compartment_has_every_parameter():
    found = in_compartment(Compartment("Patient", "1"), ("Observation",))
    assert {known.code for known in found.parameters} == {"subject", "performer"}
    assert not found.itself
    found = in_compartment(Compartment("Patient", "1"), ("Patient",))
    assert ([known.code for known in found.parameters], found.itself) == (["link"], True)
    found = in_compartment(Compartment("Encounter", "1"), ("Encounter",))
    assert (found.parameters, found.itself) == ((), True)


def test_every_member_has_rows_for_each_of_its_parameters():
    for centre in compartments():
        found = in_compartment(Compartment(centre, "1"), member_types(centre))
        defined = [code for codes in compartments()[centre].values() for code in codes if code != "{def}"]
        assert len(found.parameters) == len(defined)
        assert all(known.rows_of and known.kind is Kind.REFERENCE for known in found.parameters)


def test_a_search_in_a_compartment():
    types, around = searched("Patient", "1", "*")
    query = parse_query(types, [("_type", "Observation"), ("code", "x")], around=around, base_url=BASE)
    assert query.types == ("Observation",)
    first, second = query.conditions
    assert first == in_compartment(Compartment("Patient", "1"), ("Observation",))
    assert isinstance(second, Clause)
    assert query.used == (("_type", "Observation"), ("code", "x"))


def test_what_a_path_searches():
    assert searched("", "", "") == (resource_types(), None)
    assert searched("Patient", "", "") == (("Patient",), None)
    assert searched("Patient", "1", "Observation") == (("Observation",), Compartment("Patient", "1"))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("subject.nonsense", "not-supported"),
        ("subject:Organization.name", "invalid"),
        ("code.name", "invalid"),
        ("_has:Observation:patient", "invalid"),
        ("_has:Encounter:nonsense:status", "not-supported"),
        ("_list:exact", "invalid"),
    ],
)
def test_refusals_name_the_parameter_and_no_value(name: str, code: str):
    told, diagnostics = refusal("Observation", name, "secret")
    assert told == code
    assert "secret" not in diagnostics
