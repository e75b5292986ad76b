"""What must hold between searches of one type, whatever is stored: https://hl7.org/fhir/R4/search.html"""

from __future__ import annotations

from itertools import combinations
from urllib.parse import urlencode

import pytest

from tests.search.corpus import TAG_SYSTEM, Corpus, key
from tests.search.parts import FOREIGN, S, T
from tests.spec.api import UCUM, success

DAY_VALUES = ["2000", "2000-02", "2000-02-29", "2020-06-15", "2021-03", "1850"]
MOMENT_VALUES = [
    *DAY_VALUES,
    "2020",
    "2020-06-15T12:00:00Z",
    "2020-06-15T12:00Z",
    "2020-06-15T10:00:00.000Z",
    "2020-12-31T23:59:59-05:00",
]
NUMBER_VALUES = ["100", "100.0", "5.4", "0", "-3", "1e3", "5.400010"]
QUANTITY_VALUES = ["5.4", f"5.40|{UCUM}|mg", "100||mg", "0", "1e3||mmHg"]
CODE_VALUES = ["one", f"{S}|one", "|one", f"{T}|", "ONE", "a\\|b\\,c", "nothing"]
WORD_VALUES = ["mul", "Müller", "muller", "o'neil", "van den", "SEV", "gross", "παπα", "xxx"]

TOKENS = [
    ("Observation", "code", CODE_VALUES),
    ("Observation", "category", CODE_VALUES),
    ("Observation", "component-code", ["c1", f"{S}|c2", f"{S}|"]),
    ("Observation", "combo-code", ["one", "c1"]),
    ("Observation", "value-concept", CODE_VALUES),
    ("Observation", "status", ["final", "http://hl7.org/fhir/observation-status|amended"]),
    ("Patient", "active", ["true", "false"]),
    ("Patient", "deceased", ["true", "false"]),
    ("Patient", "identifier", ["1", f"{S}|2", "|A-3"]),
    ("Patient", "gender", ["female", "http://hl7.org/fhir/administrative-gender|male"]),
    ("Patient", "phone", ["555", "a@b.org"]),
    ("Patient", "language", CODE_VALUES),
    ("Encounter", "class", ["one", f"{S}|two"]),
    ("Encounter", "status", ["planned"]),
    ("Task", "business-status", CODE_VALUES),
    ("Goal", "achievement-status", CODE_VALUES),
    ("ServiceRequest", "requisition", ["1", f"{S}|A-3"]),
]
STRINGS = [
    ("Patient", "name", WORD_VALUES),
    ("Patient", "family", WORD_VALUES),
    ("Patient", "given", WORD_VALUES),
    ("Patient", "address", [*WORD_VALUES, "us", "021"]),
    ("Patient", "address-city", WORD_VALUES),
    ("Observation", "value-string", WORD_VALUES),
    ("Organization", "name", WORD_VALUES),
    ("ValueSet", "title", WORD_VALUES),
]
DATES = [
    ("Patient", "birthdate", DAY_VALUES),
    ("Patient", "death-date", MOMENT_VALUES),
    ("Observation", "date", MOMENT_VALUES),
    ("Observation", "value-date", MOMENT_VALUES),
    ("Encounter", "date", MOMENT_VALUES),
    ("Encounter", "location-period", MOMENT_VALUES),
    ("Condition", "onset-date", MOMENT_VALUES),
    ("Task", "period", MOMENT_VALUES),
    ("Task", "authored-on", MOMENT_VALUES),
    ("ServiceRequest", "occurrence", MOMENT_VALUES),
    ("Goal", "start-date", DAY_VALUES),
    ("Goal", "target-date", DAY_VALUES),
]
NUMBERS = [("ChargeItem", "factor-override", NUMBER_VALUES), ("RiskAssessment", "probability", ["0.5", "0.25", "0"])]
QUANTITIES = [
    ("Observation", "value-quantity", QUANTITY_VALUES),
    ("Observation", "component-value-quantity", QUANTITY_VALUES),
    ("Observation", "combo-value-quantity", QUANTITY_VALUES),
    ("ChargeItem", "quantity", QUANTITY_VALUES),
    ("Encounter", "length", ["30", f"30|{UCUM}|min"]),
]
REFERENCES = [
    (
        "Observation",
        "subject",
        ["Patient/patient-3-{tag}", "patient-7-{tag}", "Group/group-1-{tag}", f"{FOREIGN}/Patient/1"],
    ),
    ("Observation", "performer", ["Practitioner/practitioner-1-{tag}", "Organization/organization-2-{tag}"]),
    ("Encounter", "patient", [f"patient-{n}-{{tag}}" for n in (1, 5, 11, 12, 20)]),
    ("Task", "owner", ["Organization/organization-1-{tag}", "practitioner-2-{tag}", f"{FOREIGN}/Organization/1"]),
]
URIS = [
    ("ValueSet", "url", ["http://example.org/a", "http://example.org/a/b", "urn:oid:1.2.3"]),
    ("ServiceRequest", "instantiates-uri", ["http://example.org/a", "http://example.org/ab"]),
]
COMPOSITES = [
    ("Observation", "code-value-quantity", ["one$100", f"{S}|one$gt5", "two$lt1000", "ONE$ge0"]),
    ("Observation", "component-code-value-quantity", ["c1$gt0", f"{S}|c2$100", "c3$lt5.45", "c2$ge-10", "c1$ne0"]),
    ("Observation", "component-code-value-concept", ["c1$one", f"c2${S}|two", "c3$ONE", "c1$three", "c2$one"]),
    ("Observation", "code-value-string", ["one$mul", "two$van", "three$s", "ONE$m", "one$o", "two$g"]),
    ("Observation", "code-value-date", ["one$2020", "two$gt2000-02"]),
]
ORDERED = [*DATES, *NUMBERS, *QUANTITIES]
ALL = [*TOKENS, *STRINGS, *DATES, *NUMBERS, *QUANTITIES, *REFERENCES, *URIS, *COMPOSITES]


def named(cases: list[tuple[str, str, list[str]]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("kind", "name", "values"), cases, ids=[f"{kind}.{name}" for kind, name, _ in cases])


@named(ALL)
async def test_missing_partitions(corpus: Corpus, kind: str, name: str, values: list[str]):
    """#missing: either a resource has a value or it has none; what is found by a value has one."""
    absent, present = [await corpus.found(kind, f"{name}:missing={answer}") for answer in ("true", "false")]
    assert not absent & present
    assert absent | present == corpus.all(kind)
    for value in values:
        assert await corpus.found(kind, f"{name}={value.format(tag=corpus.tag)}") <= present, value


@named(TOKENS)
async def test_not_partitions(corpus: Corpus, kind: str, name: str, values: list[str]):
    """#token: `:not` finds exactly the others, also those without a value; several values are one condition."""
    for value in [*values, ",".join(values[:3])]:
        those, others = [await corpus.found(kind, f"{name}{suffix}={value}") for suffix in ("", ":not")]
        assert not those & others, value
        assert those | others == corpus.all(kind), value


@named(ORDERED)
async def test_prefixes_divide(corpus: Corpus, kind: str, name: str, values: list[str]):
    """#prefix: what holds between the prefixes for every stored value, be it a point or an interval."""
    valued = await corpus.found(kind, f"{name}:missing=false")
    dated = (kind, name, values) in DATES
    for value in values:
        by = {prefix: await corpus.found(kind, f"{name}={prefix}{value}") for prefix in PREFIXES}
        # A quantity is compared only with those of its unit.
        of_unit = by["lt"] | by["ge"] if "|" in value else valued
        assert by["lt"] | by["ge"] == of_unit, value
        assert by["gt"] | by["le"] == of_unit, value
        assert by["eq"] | by["ne"] == of_unit, value
        assert by["sa"] <= by["gt"] <= by["ge"], value
        assert by["eb"] <= by["lt"] <= by["le"], value
        assert by["eq"] <= by["ap"], value
        assert await corpus.found(kind, f"{name}={value}") == by["eq"], value
        if dated:
            assert by["eq"] <= by["ge"] & by["le"], value


PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")


@named(ALL)
async def test_commas_unite_and_repetition_intersects(corpus: Corpus, kind: str, name: str, values: list[str]):
    """#combining: values joined by commas are alternatives; a parameter given twice must hold twice."""
    single = {value: await corpus.found(kind, f"{name}={value.format(tag=corpus.tag)}") for value in values}
    for first, second in combinations(values[:3], 2):
        a, b = (value.format(tag=corpus.tag) for value in (first, second))
        assert await corpus.found(kind, f"{name}={a},{b}") == single[first] | single[second], (a, b)
        assert await corpus.found(kind, f"{name}={a}&{name}={b}") == single[first] & single[second], (a, b)


@named(STRINGS)
async def test_strings_nest(corpus: Corpus, kind: str, name: str, values: list[str]):
    """#string: what is equal starts with the text, what starts with it contains it; case and accents play no part."""
    for value in values:
        exact, starts, contains = [
            await corpus.found(kind, f"{name}{suffix}={value}") for suffix in (":exact", "", ":contains")
        ]
        assert exact <= starts <= contains, value
        assert await corpus.found(kind, f"{name}={value.upper()}") == starts, value
        assert await corpus.found(kind, f"{name}={value[:2]}") >= starts, value
        assert await corpus.found(kind, f"{name}:contains={value[1:]}") >= contains, value


@named(URIS)
async def test_uris_nest(corpus: Corpus, kind: str, name: str, values: list[str]):
    """#uri: what is equal is at or below, and at or above."""
    for value in (value for value in values if value.startswith("http")):
        same, below, above = [
            await corpus.found(kind, f"{name}{suffix}={value}") for suffix in ("", ":below", ":above")
        ]
        assert below & above == same, value


@named([case for case in ALL if case not in COMPOSITES])
async def test_every_form_of_a_request_finds_the_same(corpus: Corpus, kind: str, name: str, values: list[str]):
    """#get: GET and POST; http.html: a count is the number of entries on all pages."""
    for value in (value.format(tag=corpus.tag) for value in values[:2]):
        got = await corpus.found(kind, f"{name}={value}")
        form = {"_tag": f"{TAG_SYSTEM}|{corpus.tag}", name: value, "_count": 1000}
        answer = success(await corpus.fhir.post(f"{kind}/_search", urlencode(form).encode(), content_type=FORM), 200)
        assert {key(item["resource"]) for item in answer.get("entry", [])} == got, value
        assert await corpus.count(kind, f"{name}={value}") == len(got), value
        assert answer["total"] == len(got), value


FORM = "application/x-www-form-urlencoded"


@named(COMPOSITES)
async def test_a_composite_is_narrower_than_its_parts(corpus: Corpus, kind: str, name: str, values: list[str]):
    """#combining: both parts hold in one element, so each holds by itself."""
    prefix, first, second = next(parts for parts in PARTS if name == "-".join(filter(None, parts)))
    for value in values:
        code, _, rest = value.partition("$")
        both = await corpus.found(kind, f"{name}={value}")
        parts = [f"{prefix}-{first}" if prefix else first, f"{prefix}-{second}" if prefix else second]
        assert both <= await corpus.found(kind, f"{parts[0]}={code}&{parts[1]}={rest}"), value


PARTS = [
    ("", "code", "value-quantity"),
    ("component", "code", "value-quantity"),
    ("component", "code", "value-concept"),
    ("", "code", "value-string"),
    ("", "code", "value-date"),
]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, name, _ in ALL])
async def test_the_corpus_is_not_trivial(corpus: Corpus, kind: str, name: str):
    """Every parameter above has resources with a value and resources without, or with different values."""
    values = next(v for k, n, v in ALL if (k, n) == (kind, name))
    sizes = {await corpus.count(kind, f"{name}={value.format(tag=corpus.tag)}") for value in values}
    assert sizes - {0}
    assert len(sizes) > 1 or 0 < max(sizes) < len(corpus.all(kind))
