"""The words of a resource (R4 search.html#content: `_text` and `_content`)."""

from __future__ import annotations

from typing import Any

import pytest

from app.fhir.search.extract import index_rows
from app.fhir.search.words import LONGEST_WORD, MOST_BYTES, vector, words

XHTML = 'xmlns="http://www.w3.org/1999/xhtml"'
Json = dict[str, Any]


def told(body: str) -> Json:
    return {"resourceType": "Patient", "text": {"status": "generated", "div": f"<div {XHTML}>{body}</div>"}}


def parts(found: str) -> list[str]:
    return found.split()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World! hello", ["hello", "world"]),
        ("Größe ÉTÉ", ["grosse", "ete"]),
        ("x_y a-b 3.5", ["x", "y", "a", "b", "3", "5"]),
        ("O'Neil \\ :1A", ["o", "neil", "1a"]),
        (" \u0301!", []),
        ("x" * 100, ["x" * LONGEST_WORD]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert list(words(text)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<p>one</p><p>two</p>", "'one':1A 'two':1A"),
        ("<p>un<b>do</b>ne &amp; &lt;c&#233;&gt;</p>", "'undone':1A 'ce':1A"),
        ('<table><tr><td title="no">a</td><td>b</td></tr></table><!-- no -->', "'a':1A 'b':1A"),
        ("<br/>", ""),
    ],
)
def test_a_narrative_gives_what_a_reader_sees(body: str, expected: str) -> None:
    assert vector(told(body), content=False) == expected


def test_all_texts_are_content() -> None:
    patient = told("<p>seen</p>") | {
        "id": "unseen",
        "meta": {"profile": ["http://no.example"], "tag": [{"code": "tagged", "display": "Shown"}]},
        "extension": [{"url": "http://no.example", "valueString": "extended"}],
        "name": [{"family": "Roe", "given": ["Jane", None, "Seen"], "_given": [None, {"id": "x"}, None]}],
        "gender": "female",
        "birthDate": "2000-01-01",
        "contained": [{"resourceType": "Patient", "id": "c", "name": [{"family": "inside"}]}],
    }
    shown = ("tagged", "shown", "extended", "roe", "jane", "female")
    assert set(parts(vector(patient, content=True))) == {"'seen':1A", *(f"'{word}':1D" for word in shown)}
    assert parts(vector(patient, content=False)) == ["'seen':1A"]


def test_a_resource_without_words_has_no_row() -> None:
    assert index_rows({"resourceType": "Observation"}, "http://a.example").words == []
    assert index_rows(told("<img alt='x'/>"), "http://a.example").words == []


def test_endless_narratives_have_bounds() -> None:
    found = vector(told(" ".join(f"w{n}" for n in range(100_000))), content=False)
    assert len(found.encode()) < 2 * MOST_BYTES
    assert found.startswith("'w0':1A")
