import json

import pytest

from app.fhir.capabilities import capability_statement
from app.fhir.definitions import resource_types
from app.fhir.json import dumps
from app.fhir.own.definitions import own_definition, parameter_url
from app.fhir.own.operations import OPERATIONS
from app.fhir.routes import ROUTES, Route
from app.fhir.search.parameters import parameters
from app.fhir.types import Interaction
from app.fhir.validation import check, issues

BASE = "https://example.org/fhir"
DEFINED = "http://hl7.org/fhir/OperationDefinition"
OF_A_TYPE = ["read", "vread", "update", "patch", "delete", "history-instance", "history-type", "create", "search-type"]


def statement(routes=ROUTES, **settings):
    settings = {"version": "1.2.3", "date": "2026-11-22", "referential_integrity": True} | settings
    return capability_statement(routes, parameters, base_url=BASE, **settings)


def resources(made):
    return {resource["type"]: resource for resource in made["rest"][0]["resource"]}


def codes(holder):
    return [interaction["code"] for interaction in holder.get("interaction", ())]


def faults(made):
    """All but the wish for a narrative."""
    return [
        issue for issue in issues(json.loads(dumps(made)), "CapabilityStatement") if "dom-6" not in issue.diagnostics
    ]


def test_it_is_valid_without_even_a_warning():
    assert faults(statement()) == []


def test_it_says_which_program_it_is():
    made = statement()
    assert made["software"] == {"name": "CareLoop", "version": "1.2.3"}
    assert made["implementation"]["url"] == BASE
    assert (made["fhirVersion"], made["kind"], made["date"]) == ("4.0.1", "instance", "2026-11-22")
    assert made["patchFormat"] == ["application/json-patch+json", "application/fhir+json"]
    assert "application/fhir+json" in made["format"]


def test_every_type_has_all_interactions_of_the_routes():
    made = resources(statement())
    assert tuple(made) == resource_types()
    assert all(codes(resource) == OF_A_TYPE for resource in made.values())


def test_flags_of_a_type():
    patient = resources(statement())["Patient"]
    flags = {
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": True,
        "conditionalDelete": "single",
    }
    assert {name: patient[name] for name in flags} == flags
    assert patient["profile"] == "http://hl7.org/fhir/StructureDefinition/Patient"


def test_the_system_has_the_interactions_of_the_routes():
    assert codes(statement()["rest"][0]) == ["transaction", "batch", "search-system", "history-system"]


def test_the_system_has_the_parameters_of_all_types():
    named = {parameter["name"] for parameter in statement()["rest"][0]["searchParam"]}
    assert {"_id", "_lastUpdated", "_tag", "_profile", "_security", "_source"} <= named
    assert all(name.startswith("_") for name in named)


def test_compartments_are_those_of_the_definitions():
    named = {url.rpartition("/")[2] for url in statement()["rest"][0]["compartment"]}
    assert named == {"patient", "encounter", "relatedperson", "practitioner", "device"}


@pytest.mark.parametrize(
    ("interaction", "flag"),
    [
        (Interaction.VREAD, "readHistory"),
        (Interaction.UPDATE, "updateCreate"),
        (Interaction.CREATE, "conditionalCreate"),
        (Interaction.CONDITIONAL_UPDATE, "conditionalUpdate"),
        (Interaction.CONDITIONAL_DELETE, "conditionalDelete"),
        (Interaction.READ, "conditionalRead"),
    ],
)
def test_what_has_no_route_is_not_claimed(interaction, flag):
    made = statement([route for route in ROUTES if route.interaction != interaction])
    patient = resources(made)["Patient"]
    assert interaction.value not in codes(patient)
    assert patient[flag] in (False, "not-supported")


def test_no_routes_make_no_claims():
    made = statement([])
    assert faults(made) == []
    assert codes(made["rest"][0]) == []
    assert "operation" not in resources(made)["Patient"]


def test_a_route_of_one_type_is_told_for_that_type_only():
    made = resources(statement([Route("GET", "Patient/{id}", Interaction.READ, "instance")]))
    assert (codes(made["Patient"]), codes(made["Group"])) == (["read"], [])


def test_operations_have_their_definitions():
    made = statement()
    named = {
        name: {operation["name"]: operation["definition"] for operation in resource["operation"]}
        for name, resource in resources(made).items()
    }
    validate = {"validate": f"{DEFINED}/Resource-validate", "meta": f"{DEFINED}/Resource-meta"}
    assert all(operations.items() >= validate.items() for operations in named.values())
    own = {name: operations.keys() - validate.keys() for name, operations in named.items()}
    assert {name: names for name, names in own.items() if names} == {
        "EpisodeOfCare": {"everything"},
        "Observation": {"lastn"},
        "Patient": {"everything"},
        "ServiceRequest": {"refer", "check-duplicate"},
        "Task": {"delivery", "redeliver", "forward", "resolve"},
    }
    assert named["Patient"]["everything"] == f"{DEFINED}/Patient-everything"
    urls = {url for operations in named.values() for url in operations.values() if url.startswith(BASE)}
    assert urls == {f"{BASE}/OperationDefinition/{id_}" for id_ in OPERATIONS}
    assert all(own_definition("OperationDefinition", url.rpartition("/")[2], BASE) for url in urls)
    assert [operation["name"] for operation in made["rest"][0]["operation"]] == ["meta"]


def test_includes_are_told():
    found = resources(statement())["Observation"]
    assert {"*", "Observation:subject", "Observation:patient"} <= set(found["searchInclude"])
    assert "Observation:code" not in found["searchInclude"]
    assert found["searchRevInclude"] == ["*"]


def test_an_operation_of_the_system_is_told_there():
    made = statement([Route("POST", "$validate", Interaction.VALIDATE, "system")])
    assert [operation["name"] for operation in made["rest"][0]["operation"]] == ["validate"]
    assert "operation" not in resources(made)["Patient"]


def test_search_parameters_are_those_that_are_supported():
    for type_name, resource in resources(statement()).items():
        named = {p["name"]: (p["definition"], p["type"]) for p in resource["searchParam"]}
        supported = [p for p in parameters(type_name).values() if p.supported]
        assert named == {p.code: (parameter_url(p, BASE), p.stated or p.kind) for p in supported}
    patient = {p["name"] for p in resources(statement())["Patient"]["searchParam"]}
    assert {"_id", "_lastUpdated", "name", "identifier", "birthdate"} <= patient


def test_search_parameters_of_our_own_can_be_read():
    """Their URLs lie below the base, where the definitions are."""
    urls = {p["definition"] for p in resources(statement())["Task"]["searchParam"] if p["definition"].startswith(BASE)}
    assert urls == {f"{BASE}/SearchParameter/Task-due", f"{BASE}/SearchParameter/Task-output-type"}
    for url in urls:
        definition = own_definition("SearchParameter", url.rpartition("/")[2], BASE)
        assert definition is not None
        check(definition, "SearchParameter")
        assert definition["url"] == url
    assert own_definition("SearchParameter", "Task-status", BASE) is None


def test_integrity_is_claimed_only_where_it_is_enforced():
    assert resources(statement())["Task"]["referencePolicy"] == ["literal", "logical", "enforced"]
    made = statement(referential_integrity=False)
    assert resources(made)["Task"]["referencePolicy"] == ["literal", "logical"]


def test_security_is_described():
    assert "no authentication" in statement()["rest"][0]["security"]["description"]
    assert statement(security="Tokens.")["rest"][0]["security"] == {"description": "Tokens."}
