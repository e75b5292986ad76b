import bz2
import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fhir.json import loads
from app.fhir.links import Resolver, conditional_references, outside, unresolved
from app.fhir.references import conditional, local
from app.fhir.transactions import entries
from app.fhir.validation import check

OURS = "https://example.org/fhir"
THEIRS = "http://a.org/fhir"
URN = "urn:uuid:6a3c6f7e-0b53-4f1b-8ad9-6e1a1f3f3c11"
OID = "urn:oid:1.2.3"
MAPPING = {URN: "Patient/7", OID: "Patient/8", f"{THEIRS}/Patient/2": "Patient/9", f"{OURS}/Patient/3": "Patient/10"}


def observation(reference, **more):
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": reference},
        **more,
    }


def rewritten(resource, full_url=None):
    Resolver(MAPPING, OURS).rewrite(resource, check(resource), full_url)
    return resource


@pytest.mark.parametrize(
    ("text", "full_url", "expected"),
    [
        (URN, None, "Patient/7"),
        (OID, URN, "Patient/8"),
        (f"{THEIRS}/Patient/2", None, "Patient/9"),
        (f"{THEIRS}/Patient/2/_history/4", None, "Patient/9/_history/4"),
        (f"{URN}#part", None, "Patient/7#part"),
        (f"{URN}/_history/2#part", None, "Patient/7/_history/2#part"),
        ("Patient/2", f"{THEIRS}/Observation/1", "Patient/9"),
        ("Patient/2/_history/4", f"{THEIRS}/Observation/1", "Patient/9/_history/4"),
        ("Patient/3", None, "Patient/10"),
        ("Patient/3", URN, "Patient/10"),
        ("Patient/3", f"{OURS}/Observation/1", "Patient/10"),
    ],
)
def test_references_to_members_of_the_bundle(text, full_url, expected):
    assert rewritten(observation(text), full_url)["subject"]["reference"] == expected


@pytest.mark.parametrize(
    ("text", "full_url"),
    [
        ("Patient/2", None),
        ("Patient/2", URN),
        ("Patient/2", "http://b.org/fhir/Observation/1"),
        ("Patient/3", f"{THEIRS}/Observation/1"),
        ("urn:uuid:00000000-0000-4000-8000-000000000000", None),
        (URN.upper(), None),
        ("http://b.org/fhir/Patient/2", None),
        ("Patient?identifier=2", f"{THEIRS}/Observation/1"),
    ],
)
def test_other_references_stay(text, full_url):
    assert rewritten(observation(text), full_url)["subject"]["reference"] == text


def test_references_in_contained_resources_and_to_them():
    contained = {"resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": "AMB"}}
    contained["text"] = narrative(OID)
    resource = observation(URN, encounter={"reference": "#e"}, contained=[contained | {"subject": {"reference": URN}}])
    assert rewritten(resource)["encounter"] == {"reference": "#e"}
    assert resource["contained"][0]["subject"] == {"reference": "Patient/7"}
    assert resource["contained"][0]["text"] == narrative("Patient/8")


def test_uris_that_are_a_full_url_become_links():
    extensions = [
        {"url": "http://x.org/a", "valueUri": URN},
        {"url": "http://x.org/b", "valueUrl": OID},
        {"url": "http://x.org/c", "valueUri": "urn:ietf:rfc:3986"},
        {"url": "http://x.org/d", "valueString": URN},
    ]
    values = [list(e.values())[1] for e in rewritten(observation(OID, extension=extensions))["extension"]]
    assert values == ["Patient/7", "Patient/8", "urn:ietf:rfc:3986", URN]


def narrative(link):
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{link}">x</a></div>'}


def test_links_in_narratives():
    resource = rewritten(observation(OID, text=narrative(URN)))
    assert resource["text"] == narrative("Patient/7")


def test_links_in_the_narratives_of_sections():
    section = {"title": "a", "text": narrative(URN), "section": [{"title": "b", "text": narrative(OID)}]}
    resource = {
        "resourceType": "Composition",
        "status": "final",
        "type": {"text": "x"},
        "date": "2026",
        "author": [{"reference": URN}],
        "title": "x",
        "section": [section],
    }
    (found,) = rewritten(resource)["section"]
    assert (found["text"], found["section"][0]["text"]) == (narrative("Patient/7"), narrative("Patient/8"))


def document():
    member = {"fullUrl": OID, "resource": observation(URN, text=narrative(URN))}
    return {"resourceType": "Bundle", "type": "collection", "entry": [member]}


def test_a_bundle_keeps_its_own_links():
    assert rewritten(document()) == document()
    assert unresolved(document(), outside(check(document()), {}), {}, "Bundle.entry[0].resource") == []


@given(st.text(alphabet="Patient/1#?_history:urnuid-.ha", min_size=1).filter(str.strip))
def test_nothing_changes_without_members(text):
    resource = observation("x")
    resource["subject"]["reference"] = text
    checked = check(observation("x"))
    checked.references[:] = [resource["subject"]]
    before = copy.deepcopy(resource)
    Resolver({}, OURS).rewrite(resource, checked)
    assert resource == before


def test_references_to_nothing_in_the_bundle_are_located():
    gone = "urn:uuid:00000000-0000-4000-8000-000000000000"
    resource = observation(
        URN, performer=[{"reference": f"{OID}#a"}, {"reference": gone}], focus=[{"reference": f"{gone}#a"}]
    )
    issues = unresolved(resource, outside(check(resource), MAPPING), MAPPING, "Bundle.entry[5].resource")
    assert [issue.expression for issue in issues] == [
        "Bundle.entry[5].resource.performer[1].reference",
        "Bundle.entry[5].resource.focus[0].reference",
    ]
    assert not any(gone in issue.diagnostics for issue in issues)


def test_only_logical_references_must_be_in_the_bundle():
    resource = observation("Patient/404", performer=[{"reference": "http://b.org/Patient/1"}, {"display": "x"}])
    assert unresolved(resource, outside(check(resource), {}), {}, "Bundle.entry[0].resource") == []


def test_conditional_references_are_found():
    resource = observation(
        "Patient?identifier=a|b", performer=[{"reference": "Patient/1"}, {"reference": "Nothing?a=b"}]
    )
    assert conditional_references(check(resource).references) == [(resource["subject"], "Patient", "identifier=a|b")]
    assert conditional_references(check(resource).references)[0][0] is resource["subject"]


@pytest.mark.samples
def test_every_link_of_the_sample_transactions_finds_its_entry(samples):
    path = min((samples / "synthea").glob("[0-9a-f]*-*-*-*-*.json.bz2"), key=lambda p: p.stat().st_size)
    read = entries(loads(bz2.decompress(path.read_bytes())), 100_000)
    checks = [check(e.resource) for e in read]
    full_urls = {e.full_url for e in read}
    assert not any(
        unresolved(e.resource, outside(c, full_urls), full_urls, e.location) for e, c in zip(read, checks, strict=True)
    )
    resolver = Resolver({e.full_url: f"{e.type}/{e.index}" for e in read}, OURS)
    for e, checked in zip(read, checks, strict=True):
        resolver.rewrite(e.resource, checked, e.full_url)
    references = [reference["reference"] for checked in checks for reference in checked.references]
    assert references
    assert all(local(text, OURS) or conditional(text) or text.startswith("#") for text in references)
