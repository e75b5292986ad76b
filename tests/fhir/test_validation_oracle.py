"""A second opinion: what the models of fhir.resources (R4B) refuse, over mutations, is refused here as well."""

import os
from copy import deepcopy
from functools import cache
from importlib import import_module
from pathlib import Path
from random import Random

import pytest
from pydantic import ValidationError

from app.errors import Invalid
from app.fhir.definitions import resource_types
from app.fhir.json import dumps, loads
from app.fhir.validation import check
from tests.support.generated import resource

SAMPLES = os.environ.get("CARELOOP_SAMPLE_DATA")

# Types that R4B (4.3.0) designed anew or took out, so that its models cannot judge R4 (4.0.1).
REDESIGNED = {"Evidence", "EvidenceVariable"}
REMOVED = {
    "EffectEvidenceSynthesis",
    "MedicinalProduct",
    "MedicinalProductAuthorization",
    "MedicinalProductContraindication",
    "MedicinalProductIndication",
    "MedicinalProductIngredient",
    "MedicinalProductInteraction",
    "MedicinalProductManufactured",
    "MedicinalProductPackaged",
    "MedicinalProductPharmaceutical",
    "MedicinalProductUndesirableEffect",
    "RiskEvidenceSynthesis",
    "SubstanceNucleicAcid",
    "SubstancePolymer",
    "SubstanceProtein",
    "SubstanceReferenceInformation",
    "SubstanceSourceMaterial",
    "SubstanceSpecification",
}
COMPARABLE = sorted({*resource_types()} - REDESIGNED - REMOVED)
VALUES = [
    None,
    "",
    " ",
    0,
    -1,
    True,
    [],
    {},
    [None],
    ["a"],
    {"a": 1},
    {"id": "a"},
    "#x",
    "Patient/1",
    2**40,
    "2020-13-01",
]
VALUES += ["2020", "a b", {"reference": "Patient/1"}, {"value": 1}, [{"system": "a"}], [[]], "http://example.org"]
NAMES = ["foo", "valueString", "extension", "status", "code", "id", "valueCode"]


def refused_here(made):
    try:
        check(made)
    except Invalid:
        return True
    return False


def refused_there(made):
    kind = made["resourceType"]
    try:
        _model(kind).model_validate_json(dumps(made))
    except ValidationError as error:
        return [f"{e['loc']}: {e['msg']}" for e in error.errors()]
    except (AttributeError, KeyError, TypeError):
        # A fault of the models themselves, at a value or a resource type that they do not expect: no opinion.
        return []
    return []


@cache
def _model(kind):
    return getattr(import_module(f"fhir.resources.R4B.{kind.lower()}"), kind)


def mutated(random, original):
    made = deepcopy(original)
    for _ in range(random.randint(1, 2)):
        _mutate(random, made)
    return made


def _mutate(random, made):
    container = random.choice([c for c in _containers(made) if c])
    key = random.choice(list(container) if isinstance(container, dict) else range(len(container)))
    value = container[key]
    match random.randrange(5):
        case _ if key == "resourceType":
            return
        case 0:
            del container[key]
        case 1 if isinstance(container, dict):
            container[random.choice([*NAMES, f"_{key}", key.upper()])] = deepcopy(random.choice(VALUES))
        case 2:
            container[key] = value[0] if isinstance(value, list) and value else [value]
        case 3:
            container[key] = deepcopy(random.choice(list(_containers(made))))
        case _:
            container[key] = deepcopy(random.choice(VALUES))


def _containers(value):
    if isinstance(value, dict | list):
        yield value
        for child in value.values() if isinstance(value, dict) else value:
            yield from _containers(child)


def only_there(originals, random, times):
    """The mutations that are refused by R4B alone, and how many both refused."""
    alone, both = [], 0
    for _ in range(times):
        made = mutated(random, random.choice(originals))
        reasons = refused_there(made)
        is_refused = refused_here(made)
        both += bool(reasons) and is_refused
        if reasons and not is_refused:
            alone.append((made["resourceType"], reasons))
    return alone, both


def inner_types(value):
    return {c["resourceType"] for c in _containers(value) if isinstance(c, dict) and "resourceType" in c}


@pytest.mark.parametrize("seed", range(4))
def test_made_resources(seed):
    random = Random(seed)
    made = [resource(random, kind) for kind in COMPARABLE]
    right = [m for m in made if not refused_here(m) and inner_types(m) <= set(COMPARABLE)]
    assert [m["resourceType"] for m in right if refused_there(m)] == []
    alone, both = only_there(right, random, 800)
    assert alone == []
    assert both > 300


@pytest.mark.samples
@pytest.mark.skipif(SAMPLES is None, reason="CARELOOP_SAMPLE_DATA is not set")
def test_samples():
    paths = sorted((Path(SAMPLES or "") / "sdohcc" / "examples").glob("*.json"))
    alone, both = only_there([loads(path.read_bytes()) for path in paths], Random(1), 2000)
    assert alone == []
    assert both > 1000
