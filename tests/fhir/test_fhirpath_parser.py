"""Reading expressions: precedence, literals, and that nothing but FhirPathError comes out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fhir.fhirpath import FhirPathError, compile_path, compile_predicate
from app.fhir.fhirpath.ast import Binary, Call, Expression, Index, Literal, Member, Unary, Variable
from app.fhir.fhirpath.parser import MAX_DEPTH, parse


def _shape(node: Expression) -> str:
    """The tree with every operator in parentheses."""
    match node:
        case Binary(operator, left, right):
            return f"({_shape(left)} {operator} {_shape(right)})"
        case Unary(operator, operand):
            return f"({operator}{_shape(operand)})"
        case Member(base, name):
            return f"{_shape(base)}.{name}" if base else name
        case Call(base, name, arguments):
            return f"{_shape(base) + '.' if base else ''}{name}({', '.join(map(_shape, arguments))})"
        case Index(base, index):
            return f"{_shape(base)}[{_shape(index)}]"
        case Literal(_, text, unit):
            return text + unit
        case Variable(name):
            return name
        case _:
            return "{}"


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("a or b and c", "(a or (b and c))"),
        ("a implies b or c", "(a implies (b or c))"),
        ("a or b xor c", "((a or b) xor c)"),
        ("a = b and c != d", "((a = b) and (c != d))"),
        ("a < b = c", "((a < b) = c)"),
        ("a | b = c", "((a | b) = c)"),
        ("a + b * c & d", "((a + (b * c)) & d)"),
        ("a - b - c", "((a - b) - c)"),
        ("a in b | c", "(a in (b | c))"),
        ("a is T and b", "((a is T) and b)"),
        ("a as FHIR.T | b", "((a as FHIR.T) | b)"),
        ("-a.b", "(-a.b)"),
        ("- -1", "1"),
        ("a.where(b = 'x')[0].c", "a.where((b = x))[0].c"),
        ("a.contains('b') // note\n and /* c */ d", "(a.contains(b) and d)"),
        ("%resource.a.`div`", "%resource.a.div"),
        ("a.contains", "a.contains"),
        ("{} | $this", "({} | $this)"),
    ],
)
def test_operators_group_by_precedence(text: str, shape: str) -> None:
    assert _shape(parse(text)) == shape


@pytest.mark.parametrize(
    ("text", "type_name", "content", "unit"),
    [
        (r"'it\'s \u00e9\n'", "string", "it's é\n", ""),
        ("12", "integer", "12", ""),
        ("1.50", "decimal", "1.50", ""),
        ("4 days", "Quantity", "4", "days"),
        ("4.5 'mg'", "Quantity", "4.5", "mg"),
        ("@2020-01", "date", "2020-01", ""),
        ("@2020-01-01T10:00:00Z", "dateTime", "2020-01-01T10:00:00Z", ""),
        ("@2020T", "dateTime", "2020T", ""),
        ("@T10:00", "time", "T10:00", ""),
        ("true", "boolean", "true", ""),
    ],
)
def test_literals(text: str, type_name: str, content: str, unit: str) -> None:
    assert parse(text) == Literal(type_name, content, unit)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.",
        "a b",
        "a = ",
        "(a",
        "a)",
        "a[",
        "'open",
        "a..b",
        "and",
        "a.where(,)",
        "#",
        "'\\q'",
        "a.$this",
        "1 is 2",
    ],
)
def test_what_is_not_fhirpath_is_refused(text: str) -> None:
    with pytest.raises(FhirPathError):
        parse(text)


def test_nesting_and_length_are_bounded() -> None:
    parse("(" * (MAX_DEPTH - 1) + "a" + ")" * (MAX_DEPTH - 1))
    for text in ("(" * MAX_DEPTH + "a" + ")" * MAX_DEPTH, "a" * 10_000):
        with pytest.raises(FhirPathError):
            parse(text)


@given(st.text(max_size=60))
def test_any_text_parses_or_is_refused(text: str) -> None:
    _compile(text)


_WORDS = """
    Patient name given value where ( ) ( ) . . . , [ ] 0 1 12.5 'x' = != < and or xor implies not()
    exists() empty() | + - * / & is as in contains $this %resource %context %rootResource @2020 {}
    ofType(string) as(Quantity) all( select( days children() descendants() first() tail() iif( true
    false 3 extension('u') count() resolve() repeat( `div` ~
"""


@given(st.lists(st.sampled_from(_WORDS.split()), max_size=14).map(" ".join))
def test_any_sequence_of_words_compiles_or_is_refused(text: str) -> None:
    _compile(text)


_NAME = {"given": ["a", None], "_given": [None, {"id": "x"}]}
_RESOURCES: tuple[dict[str, Any], ...] = (
    {"resourceType": "Patient", "name": [_NAME], "deceasedBoolean": True},
    {"resourceType": "Patient", "name": "odd", "contained": {"odd": 1}, "extension": [None]},
)


def _compile(text: str) -> None:
    """Whatever compiles must also run, on content that is valid and on content that is not."""
    try:
        path, predicate = compile_path(text, "Patient"), compile_predicate(text, "Patient")
    except FhirPathError:
        return
    for resource in _RESOURCES:
        assert isinstance(path(resource), list)
        assert predicate(resource, resource, resource) in (True, False, None)


@pytest.mark.parametrize(
    "text",
    ["frobnicate()", "name.where()", "name.exists(1, 2)", "%unknown", "name is Nonsense", "name.ofType(1)", "$total"],
)
def test_unknown_functions_variables_and_types_do_not_compile(text: str) -> None:
    with pytest.raises(FhirPathError):
        compile_predicate(text, "Patient")


def test_the_source_of_an_expression_cannot_grow_without_bound() -> None:
    text = "active"
    for _ in range(18):
        text = f"(({text}) and active) xor active"
    with pytest.raises(FhirPathError, match="too complex"):
        compile_predicate(text, "Patient")


@pytest.mark.parametrize("text", [".".join(["extension"] * 800), " + ".join(["1"] * 1500), "a" + "[0]" * 2000])
def test_a_long_chain_is_refused(text: str) -> None:
    for compiled in (compile_path, compile_predicate):
        with pytest.raises(FhirPathError, match="too complex"):
            compiled(text, "Patient")


@pytest.mark.parametrize("context", ["Nonsense", "Patient.nonsense", "Patient.name.nonsense", ""])
def test_a_context_that_r4_does_not_have_is_refused(context: str) -> None:
    with pytest.raises(FhirPathError):
        compile_path("id", context)
