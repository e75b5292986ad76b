import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Malformed, NotAllowed, NotFound, TooLarge, UnknownType
from app.fhir.transactions import Entry, entries, overlapping, overlaps, processing_order, repeated_creates

BASE = "https://example.org/fhir"
PATIENT = {"resourceType": "Patient"}


def entry(method="POST", url="Patient", *, full_url=None, resource=None, **request):
    made = {"request": {"method": method, "url": url, **request}}
    if full_url is not None:
        made["fullUrl"] = full_url
    if resource is not None or method == "POST":
        made["resource"] = resource or PATIENT
    return made


def bundle(*listed, kind="transaction"):
    return {"resourceType": "Bundle", "type": kind, "entry": list(listed)}


def read(*listed, kind="transaction"):
    return entries(bundle(*listed, kind=kind), 1000, base_url=BASE)


def places(*listed):
    """Where a transaction of these entries is refused."""
    with pytest.raises(Malformed) as caught:
        read(*listed)
    return [issue.expression for issue in caught.value.issues]


def binary_patch(operations, content_type="application/json-patch+json"):
    data = base64.b64encode(json.dumps(operations).encode()).decode()
    return {"resourceType": "Binary", "contentType": content_type, "data": data}


def test_a_create():
    (made,) = read(entry(full_url="urn:uuid:1", ifNoneExist="identifier=a|b"))
    assert (made.method, made.path, made.type, made.id, made.query) == ("POST", "Patient", "Patient", "", "")
    assert made.route.interaction == "create"
    assert made.full_url == "urn:uuid:1"
    assert made.resource is PATIENT
    assert made.body is PATIENT
    assert made.headers == {"if-none-exist": "identifier=a|b"}
    assert made.problem is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("Patient/1", ("Patient/1", "Patient", "1", "", "", "read")),
        ("Patient/1/_history/2", ("Patient/1/_history/2", "Patient", "1", "2", "", "vread")),
        ("Patient?name=a%20b&_count=2", ("Patient", "Patient", "", "", "name=a%20b&_count=2", "search-type")),
        (
            "Patient?identifier=http://a.org|b?c",
            ("Patient", "Patient", "", "", "identifier=http://a.org|b?c", "search-type"),
        ),
        ("P%61tient/a%2Db", ("Patient/a-b", "Patient", "a-b", "", "", "read")),
        ("/Patient/1", ("Patient/1", "Patient", "1", "", "", "read")),
        (f"{BASE}/Patient/1", ("Patient/1", "Patient", "1", "", "", "read")),
        ("metadata", ("metadata", "", "", "", "", "capabilities")),
        ("_history?_count=1", ("_history", "", "", "", "_count=1", "history-system")),
        ("Patient/1/$validate", ("Patient/1/$validate", "Patient", "1", "", "", "validate")),
    ],
)
def test_where_a_url_leads(url, expected):
    (found,) = read(entry("GET", url))
    assert (found.path, found.type, found.id, found.version, found.query, found.route.interaction) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://elsewhere.org/fhir/Patient/1",
        f"{BASE}2/Patient/1",
        "Patient/a%2Fb",
        "Patient%2F1",
        "Patient/%00",
        "Patient/%ff",
        "Patient/1#name",
        "//Patient/1",
        "Patient//1",
        "Patient/1/",
        "Patient/..",
        "../Patient/1",
        "Nothing/1",
        "patient/1",
        "Patient/1/$nothing",
        "Patient/1\n",
    ],
)
def test_urls_that_lead_nowhere(url):
    assert places(entry("GET", url)) == ["Bundle.entry[0].request.url"]


@pytest.mark.parametrize(
    ("made", "where"),
    [
        (None, "request"),
        ([], "request"),
        ({}, "request"),
        ({"request": "GET Patient"}, "request"),
        ({"request": {"method": "GET"}}, "request.url"),
        ({"request": {"method": "GET", "url": 1}}, "request.url"),
        ({"request": {"method": ["GET"], "url": "Patient"}}, "request.method"),
        (entry("get"), "request.method"),
        (entry("OPTIONS"), "request.method"),
        (entry("GET", "Patient/1", ifMatch=3), "request.ifMatch"),
        (entry("GET", "Patient/1", ifModifiedSince=["x"]), "request.ifModifiedSince"),
        ({"request": {"method": "POST", "url": "Patient"}}, "resource"),
        (entry("POST", resource={"id": "1"}), "resource"),
        (entry("POST", resource=["Patient"]), "resource"),
        (entry("POST", resource={"resourceType": ["Patient"]}), "resource"),
        (entry("POST", "Observation"), "resource"),
        (entry("PUT", "Patient/1"), "resource"),
        (entry("PUT", "Patient/1", resource=PATIENT), "resource.id"),
        (entry("PUT", "Patient/1", resource=PATIENT | {"id": "2"}), "resource.id"),
        (entry("PUT", "Observation/1", resource=PATIENT | {"id": "1"}), "resource"),
        (entry("PUT", "Patient", resource=PATIENT), "request.url"),
        (entry("PUT", "Patient?", resource=PATIENT), "request.url"),
        (entry("DELETE", "Patient"), "request.url"),
        (entry("PATCH", "Patient/1"), "resource"),
        (entry("PATCH", "Patient/1", resource=PATIENT), "resource"),
        (entry("PATCH", "Patient/1", resource=binary_patch([], "application/json")), "resource.contentType"),
        (entry("PATCH", "Patient/1", resource={"resourceType": "Binary"}), "resource.contentType"),
        (entry("PATCH", "Patient/1", resource=binary_patch([]) | {"data": "%%"}), "resource.data"),
        (entry("PATCH", "Patient/1", resource=binary_patch([]) | {"data": "é"}), "resource.data"),
        (entry("PATCH", "Patient/1", resource=binary_patch([]) | {"data": "eA=="}), "resource.data"),
        (entry("PATCH", "Patient/1", resource=binary_patch([]) | {"data": None}), "resource.data"),
        (entry("POST", "Patient/_search"), "request.url"),
        (entry("POST", "/", resource={"resourceType": "Bundle"}), "request.url"),
        (entry("POST", "Patient/1"), "request.url"),
        (entry(full_url="Patient/1"), "fullUrl"),
        (entry(full_url=1), "fullUrl"),
        (entry(full_url="urn:x:1"), "fullUrl"),
        (entry(full_url="http://a.org/Patient/1/_history/2"), "fullUrl"),
        (entry(full_url="http://a.org/Patient/1#a"), "fullUrl"),
        (entry("PUT", "Patient/1", resource=PATIENT | {"id": "1"}, full_url="http://a.org/Patient/2"), "fullUrl"),
        (entry("PUT", "Patient/1", resource=PATIENT | {"id": "1"}, full_url="http://a.org/Task/1"), "fullUrl"),
    ],
)
def test_what_is_wrong_with_an_entry_is_located(made, where):
    assert places(made) == [f"Bundle.entry[0].{where}"]


def test_all_that_is_wrong_is_told_at_once():
    assert places(
        entry("GET", "Nothing"),
        entry(),
        entry("BREW", "", full_url="x"),
        entry("PUT", "Patient/1", resource=PATIENT | {"id": "2"}, full_url=f"{BASE}/Patient/3"),
    ) == [
        "Bundle.entry[0].request.url",
        "Bundle.entry[2].request.method",
        "Bundle.entry[2].request.url",
        "Bundle.entry[2].fullUrl",
        "Bundle.entry[3].resource.id",
        "Bundle.entry[3].fullUrl",
    ]


def test_two_entries_cannot_have_one_full_url():
    made = entry(full_url="urn:uuid:1")
    assert places(made, entry(full_url="urn:uuid:2"), made) == ["Bundle.entry[2].fullUrl"]


def test_entries_of_a_batch_stand_for_themselves():
    found = read(
        entry("GET", "Nothing/1"),
        entry(),
        entry("DELETE", "Patient/1/_history"),
        None,
        entry("GET", "Task/a/b"),
        kind="batch",
    )
    assert [type(e.problem) for e in found] == [UnknownType, type(None), NotAllowed, Malformed, NotFound]


def test_a_batch_entry_of_a_method_that_is_not_offered():
    (found,) = read(entry("DELETE", "metadata"), kind="batch")
    assert isinstance(found.problem, NotAllowed)
    assert found.problem.headers["Allow"] == "GET, HEAD"
    assert [issue.expression for issue in found.problem.issues] == ["Bundle.entry[0].request.url"]


@pytest.mark.parametrize("kind", ["searchset", "collection", None, ["batch"]])
def test_other_bundles_are_refused(kind):
    with pytest.raises(Malformed) as caught:
        read(kind=kind)
    assert caught.value.issues[0].expression == "Bundle.type"


def test_a_bundle_without_entries_has_none():
    assert entries({"resourceType": "Bundle", "type": "transaction"}, 1) == []


def test_too_many_entries():
    with pytest.raises(TooLarge):
        entries(bundle(entry(), entry()), 1)


def test_an_entry_list_that_is_none():
    with pytest.raises(Malformed):
        entries({"type": "batch", "entry": {"request": {}}}, 1)


def test_a_json_patch_travels_in_a_binary():
    operations = [{"op": "replace", "path": "/active", "value": True}]
    (found,) = read(entry("PATCH", "Patient/1", resource=binary_patch(operations)))
    assert (found.patch, found.body) == ("json-patch", operations)


def test_base64_may_have_line_breaks():
    resource = binary_patch([])
    resource["data"] = "\n".join(resource["data"])
    (found,) = read(entry("PATCH", "Patient?name=a", resource=resource))
    assert (found.patch, found.body) == ("json-patch", [])


def test_a_fhirpath_patch_travels_as_parameters():
    resource = {"resourceType": "Parameters"}
    (found,) = read(entry("PATCH", "Patient/1", resource=resource))
    assert (found.patch, found.body) == ("fhirpath", resource)


def test_an_update_may_name_itself_in_its_full_url():
    for full_url in (f"{BASE}/Patient/1", "urn:uuid:1", "http://a.org/files/1", "http://a.org/Files/1"):
        (found,) = read(entry("PUT", "Patient/1", resource=PATIENT | {"id": "1"}, full_url=full_url))
        assert found.full_url == full_url


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
)
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "X"]) | JSON,
        "url": st.sampled_from(["Patient", "Patient/1", "Patient?a=b", ""]) | st.text(),
        "ifMatch": st.text() | JSON,
    },
)
RESOURCES = st.fixed_dictionaries(
    {"resourceType": st.sampled_from(["Patient", "Binary", "Parameters"]) | JSON},
    optional={"id": JSON, "contentType": st.just("application/json-patch+json") | JSON, "data": st.text() | JSON},
)
ENTRIES = JSON | st.fixed_dictionaries(
    {"request": REQUESTS}, optional={"resource": RESOURCES | JSON, "fullUrl": st.text() | JSON}
)


@given(st.lists(ENTRIES, max_size=4))
def test_any_json_is_read_or_refused(listed):
    alone = read(*listed, kind="batch")
    assert all(found.problem or found.route for found in alone)
    if any(found.problem for found in alone):
        with pytest.raises(Malformed):
            read(*listed)


METHODS = st.sampled_from(["DELETE", "POST", "PUT", "PATCH", "GET", "HEAD"])
RANKS = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}


@given(st.lists(METHODS))
def test_the_processing_order_is_that_of_r4_and_stable(methods):
    given_ = [Entry(index, method) for index, method in enumerate(methods)]
    ordered = processing_order(given_)
    keys = [(RANKS[e.method], e.index) for e in ordered]
    assert keys == sorted(keys)
    assert sorted(e.index for e in ordered) == list(range(len(methods)))
    assert processing_order(ordered) == ordered


def put(id_):
    return entry("PUT", f"Patient/{id_}", resource=PATIENT | {"id": id_})


PARAMETERS = {"resourceType": "Parameters"}


@pytest.mark.parametrize(
    "pair",
    [
        (put("1"), put("1")),
        (entry("DELETE", "Patient/1"), put("1")),
        (put("1"), entry("PATCH", "Patient/1", resource=PARAMETERS)),
        (entry("DELETE", "Patient?a=b"), entry("DELETE", "Patient?a=b")),
        (entry("PUT", "Patient?a=b", resource=PATIENT), entry("PATCH", "Patient?a=b", resource=PARAMETERS)),
    ],
)
def test_two_entries_cannot_write_one_resource(pair):
    issues = overlaps(read(entry(), *pair))
    assert [issue.expression for issue in issues] == ["Bundle.entry[2].request.url"]


@pytest.mark.parametrize(
    "pair",
    [
        (put("1"), put("2")),
        (put("1"), entry("GET", "Patient/1")),
        (entry(), entry()),
        (put("a"), put("A")),
        (put("1"), entry("DELETE", "Observation/1")),
        (entry("DELETE", "Patient?a=b"), entry("DELETE", "Patient?a=c")),
        (entry("GET", "Patient?a=b"), entry("GET", "Patient?a=b")),
    ],
)
def test_other_entries_do_not_overlap(pair):
    assert overlaps(read(*pair)) == []


@given(st.lists(st.tuples(st.sampled_from(["Patient", "Task"]), st.sampled_from("abc"))))
def test_every_repetition_of_an_identity_is_told(identities):
    issues = overlapping((index, *identity) for index, identity in enumerate(identities))
    assert len(issues) == len(identities) - len(set(identities))


def test_conditional_creates_of_one_condition_are_one():
    same = entry(ifNoneExist="identifier=1")
    other = entry("POST", "Task", resource={"resourceType": "Task"}, ifNoneExist="identifier=1")
    assert repeated_creates(read(entry(), same, entry(ifNoneExist="identifier=2"), same, other, same)) == {3: 1, 5: 1}
