"""How texts are compared, shortened and freed of versions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fhir.search.text import LONGEST, LONGEST_TOKEN, LONGEST_URI, normalise, token_key, uri_key, without_version


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Müller", "muller"),
        ("MU\u0308LLER", "muller"),
        ("Straße", "strasse"),
        ("İstanbul", "istanbul"),
        ("  van   den\tBerg ", "van den berg"),
        ("ﬁnal", "final"),
        ("Ångström", "angstrom"),
        ("Ελένη", "ελενη"),
        ("李小龍", "李小龍"),
        ("O'Neil-Smith", "o'neil-smith"),
    ],
)
def test_case_accents_and_blanks_do_not_count(text: str, normal: str) -> None:
    assert normalise(text) == normal


@given(st.text(max_size=2 * LONGEST))
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert len(once) <= LONGEST


@given(st.text(min_size=1, max_size=40), st.text(max_size=40))
def test_the_first_words_of_a_text_are_its_start(start: str, rest: str) -> None:
    assert normalise(f"{start} {rest}").startswith(normalise(start))


def test_only_very_long_keys_are_shortened_and_stay_distinct() -> None:
    for key, longest in ((token_key, LONGEST_TOKEN), (uri_key, LONGEST_URI)):
        assert key("x" * longest) == "x" * longest
        long, longer = key("x" * (longest + 1)), key("x" * (longest + 2))
        assert len(long) == len(longer) == longest
        assert long != longer
        assert long.startswith("x" * (longest - 32))


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("http://other.example/fhir/Patient/1/_history/2", "http://other.example/fhir/Patient/1"),
        ("http://other.example/fhir/Patient/1", "http://other.example/fhir/Patient/1"),
        ("http://other.example/_history/2", "http://other.example/_history/2"),
    ],
)
def test_versions_of_foreign_references_are_dropped(url: str, plain: str) -> None:
    assert without_version(url) == plain
