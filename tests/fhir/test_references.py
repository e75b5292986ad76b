from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fhir.definitions import resource_types
from app.fhir.references import Target, conditional, is_valid_id, local, rewrite_links

BASE = "https://example.org/fhir"
IDS = st.from_regex(r"[A-Za-z0-9\-.]{1,64}", fullmatch=True).filter(lambda text: text not in (".", ".."))
TARGETS = st.builds(Target, st.sampled_from(resource_types()), IDS, st.none() | IDS, st.none() | st.text())


@given(TARGETS, st.sampled_from(["", "/", BASE + "/", "HTTPS://Example.ORG/fhir/"]))
def test_what_a_target_writes_is_read_back(target, prefix):
    assert local(prefix + target.reference, BASE) == target


@given(st.text())
def test_any_text_is_a_target_or_none(text):
    target = local(text, BASE)
    assert target is None or target.reference == text.removeprefix(BASE + "/").removeprefix("/").removesuffix("/")


@pytest.mark.parametrize("text", ["Patient/1/", "/Patient/1", "/Patient/1/", BASE + "/Patient/1/"])
def test_a_slash_at_either_end_changes_nothing(text):
    assert local(text, BASE) == Target("Patient", "1")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Patient",
        "Patient/",
        "Patient/.",
        "Patient/..",
        "Patient/../_history/1",
        "Patient/1/_history/..",
        "Patient/1\n",
        "Patient/1//",
        "//Patient/1",
        "/",
        "#",
        "/#x",
        "patient/1",
        "Nothing/1",
        "Resource/1",
        "DomainResource/1",
        "Patient/" + "a" * 65,
        "Patient/1/_history/",
        "Patient/1/_history",
        "Patient#name",
        "Patient/é",
        "#contained",
        "urn:uuid:6a3c6f7e-0b53-4f1b-8ad9-6e1a1f3f3c11",
        "Patient?identifier=1",
        "https://elsewhere.org/fhir/Patient/1",
        "https://example.org/fhirPatient/1",
        "https://example.org/fhir2/Patient/1",
        "https://example.org/fhir-Patient/1",
        "http://example.org/fhir/Patient/1",
        "https://example.org/fhir/https://example.org/fhir/Patient/1",
        "https://example.org/fhir//Patient/1",
        "https://example.org/FHIR/Patient/1",
        "https://example.org/fhir/patient/1",
        "https://example.org/fhir#/Patient/1",
    ],
)
def test_everything_else_is_not_local(text):
    assert local(text, BASE) is None


def test_names_that_begin_with_two_dots_are_ids():
    assert local("Patient/..a", BASE) == Target("Patient", "..a")


@given(st.text(max_size=70))
def test_ids_have_one_to_64_plain_characters(text):
    plain = all(c.isascii() and (c.isalnum() or c in "-.") for c in text)
    assert is_valid_id(text) == (plain and 1 <= len(text) <= 64 and text not in (".", ".."))


def test_conditional_references_are_a_type_and_a_query():
    assert conditional("Practitioner?identifier=a|b&active=true") == ("Practitioner", "identifier=a|b&active=true")
    assert conditional("Patient?name=who?") == ("Patient", "name=who?")


@pytest.mark.parametrize("text", ["Practitioner?", "Practitioner", "Nothing?a=b", "?a=b", "", "Patient/1?a=b", "#a?b"])
def test_other_texts_are_not_conditional(text):
    assert conditional(text) is None


OLD, NEW = "urn:uuid:6a3c6f7e-0b53-4f1b-8ad9-6e1a1f3f3c11", "Patient/7"


@pytest.mark.parametrize(
    ("div", "expected"),
    [
        (f'<div><a href="{OLD}">x</a></div>', f'<div><a href="{NEW}">x</a></div>'),
        (f"<div><img alt='a' src = '{OLD}' /></div>", f"<div><img alt='a' src = '{NEW}' /></div>"),
        (f'<div><a\n href="{OLD}"/><img src="{OLD}"/></div>', f'<div><a\n href="{NEW}"/><img src="{NEW}"/></div>'),
    ],
)
def test_links_of_a_narrative_are_rewritten(div, expected):
    assert rewrite_links(div, {OLD: NEW}) == expected


@pytest.mark.parametrize(
    "div",
    [
        f'<div>href="{OLD}"</div>',
        f'<div><a title="{OLD}">{OLD}</a></div>',
        f"<div><a title=' href=\"{OLD}\" '/></div>",
        f'<div><!-- <a href="{OLD}"> --></div>',
        f'<div><![CDATA[<a href="{OLD}">]]></div>',
        f'<div><a href="{OLD}#part"/></div>',
        f'<div><a href=" {OLD}"/></div>',
        f'<div><a data-href="{OLD}" xhref="{OLD}"/></div>',
    ],
)
def test_nothing_else_of_a_narrative_is_touched(div):
    assert rewrite_links(div, {OLD: NEW}) == div


@given(st.text(alphabet="<>!-/ =\"'ahrefsrc&[]CDATAé\n"))
def test_any_text_without_known_links_stays(text):
    assert rewrite_links(text, {OLD: NEW}) == text


@given(st.lists(st.sampled_from(["<a ", 'href="', f'href="{OLD}"', ">", "<!--", "-->", "'", '"', " ", OLD, "x"])))
def test_rewriting_changes_known_links_only(parts):
    text = "".join(parts)
    assert rewrite_links(text, {OLD: NEW}).replace(f'"{NEW}"', f'"{OLD}"') == text


@pytest.mark.parametrize("piece", ["<a ", "<!--", "<![CDATA[", "a", "<a b='", "='", ' "', "<a \"'", "<a b=\"<c d='"])
def test_hostile_narratives_take_linear_time(piece):
    started = perf_counter()
    for end in ("", ">"):
        rewrite_links("<a " + piece * 60_000 + end, {OLD: NEW})
    assert perf_counter() - started < 1
