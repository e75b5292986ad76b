"""The parameters of requests, in the URL and in headers. All stand once, as components."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from app.fhir.definitions import resource_types
from app.fhir.openapi.schemas import primitive
from app.fhir.own.operations import GRADES
from app.fhir.search.parameters import Kind, SearchParameter, parameters
from app.fhir.types import Json

_FORMS: Mapping[Kind, str] = {
    Kind.TOKEN: "`code`, `system|code`, `|code` (no system) or `system|`",
    Kind.REFERENCE: "`Type/id`, `id`, or an absolute URL",
    Kind.STRING: "the beginning of a word, in any case and without accents",
    Kind.DATE: "`2026-11-22`, as exact as you like, with a prefix such as `ge` or `lt`",
    Kind.NUMBER: "a number, with a prefix such as `gt`",
    Kind.QUANTITY: "`5.4|http://unitsofmeasure.org|mg`, with a prefix such as `gt`",
    Kind.URI: "the whole URI",
    Kind.COMPOSITE: "values joined by `$`",
    Kind.SPECIAL: "as R4 says of this parameter",
}
_LONGEST_EXPRESSION = 120
_TEXT: Json = {"type": "string"}
_TEXTS: Json = {"type": "array", "items": _TEXT}
_WHOLE: Json = {"type": "integer", "minimum": 0}
_DATE_OR_TIME = primitive("dateTime")


def _query(name: str, text: str, schema: Json = _TEXT) -> Json:
    return {"name": name, "in": "query", "description": text, "schema": schema}


def _header(name: str, text: str, schema: Json = _TEXT) -> Json:
    return {"name": name, "in": "header", "description": text, "schema": schema}


def _one_of(*values: str) -> Json:
    return {"type": "string", "enum": list(values)}


_QUERY = (
    _query(
        "_format",
        "The format of the answer, which is JSON. Goes before Accept.",
        _one_of("json", "application/fhir+json", "application/json", "text/json"),
    ),
    _query("_pretty", "`true` for indented JSON."),
    _query("_count", "How many resources a page may hold; for a search, 0 asks for the total alone.", _WHOLE),
    _query("_cursor", "Where a page begins: comes from the links of another page."),
    _query("_elements", "Only these elements, and those that must be there, joined by commas."),
    _query("_include", "Add what the matches refer to: `Task:focus`.", _TEXTS),
    _query("_revinclude", "Add what refers to the matches: `Provenance:target`.", _TEXTS),
    _query("_since", "Only what was written at this time or later.", _DATE_OR_TIME),
    _query("_at", "Only the versions that were current at this time.", _DATE_OR_TIME),
    _query("_sort", "Search parameters to order by, joined by commas; `-` reverses one."),
    _query("_summary", "A part of each resource.", _one_of("true", "false", "text", "data", "count")),
    _query("_total", "How exact the total is.", _one_of("none", "estimate", "accurate")),
    _query("_type", "Only these resource types, joined by commas."),
    _query("_contained", "Contained resources are not found: `false` is all that it may be.", _one_of("false")),
    _query("_list", "Only the entries of this List, by its id."),
    _query("_text", "Words of the narrative, with `OR`, `-` and quotes as in web searches."),
    _query("_query", "A named query: `worklist` for the Tasks that wait for somebody.", _one_of("worklist")),
    _query("reason", "With `_query=worklist`: only Tasks on the list for these reasons, joined by commas."),
    _query("max", "How many observations of each code.", {"type": "integer", "minimum": 1, "maximum": 999_999}),
    _query("mode", "What is to be checked.", _one_of("create", "update", "delete", "profile")),
    _query("start", "Only care on this day or later.", primitive("date")),
    _query("end", "Only care on this day or earlier.", primitive("date")),
    _query("window", "For how many days a completed order counts; 30 unless it is given.", _WHOLE),
    _query("threshold", "The least grade to be told; possible unless it is given.", _one_of(*GRADES)),
)
_OF_SEARCHES = (
    "_include",
    "_revinclude",
    "_sort",
    "_total",
    "_summary",
    "_elements",
    "_count",
    "_cursor",
    "_contained",
    "_list",
    "_text",
)
_OF_LASTN = ("max", "_include", "_revinclude", "_summary", "_elements", "_contained", "_list", "_text")
_SHARED = ("_id", "_lastUpdated", "_profile", "_security", "_source", "_tag")
OF_ALL = ("_format", "_pretty", "X-Request-Id")
"""What every request may have."""

_HEADERS = (
    _header("X-Request-Id", "A name for the request, for logs; comes back with the answer."),
    _header("If-Match", 'The version that is expected: `W/"3"`. Otherwise 412.'),
    _header("If-None-Match", 'The version that is known: `W/"3"`; `*` for any.'),
    _header("If-Modified-Since", "An HTTP date. Nothing is sent unless it changed since."),
    _header("If-None-Exist", "Search criteria: create only if nothing matches."),
    _header(
        "Prefer", "`return=minimal|representation|OperationOutcome` and `handling=strict|lenient`, joined by commas."
    ),
    _header(
        "Idempotency-Key",
        "The same key gets the same answer for a day, and acts only once.",
        {"type": "string", "pattern": r"^[\x21-\x7e]([\x20-\x7e]{0,253}[\x21-\x7e])?$"},
    ),
    _header(
        "X-CareLoop-Actor",
        "The Organization that the caller acts for; without it an operator may act for either side of a referral.",
        {"type": "string", "pattern": r"^Organization/[A-Za-z0-9.\-]{1,64}$"},
    ),
)
_COMMON: Mapping[str, Json] = {parameter["name"]: parameter for parameter in (*_QUERY, *_HEADERS)}


def reference(name: str) -> Json:
    """A reference to a parameter that stands among the components."""
    return {"$ref": f"#/components/parameters/{name}"}


def components(types: Iterable[str]) -> dict[str, Json]:
    """All parameters of these types and of the system, by name: `Patient.birthdate`, `_count`, `If-Match`."""
    found = dict(_COMMON)
    found |= {f"Resource.{code}": _search_parameter(parameters("Patient")[code], "Resource") for code in _SHARED}
    for type_name in types:
        found |= {f"{type_name}.{each.code}": _search_parameter(each, type_name) for each in _own(type_name)}
    return found


def _own(type_name: str) -> Iterator[SearchParameter]:
    """The search parameters of a type besides those that all types have."""
    for parameter in parameters(type_name).values():
        if parameter.supported and parameter.code not in _SHARED and parameter.code not in _OF_SEARCHES:
            yield parameter


def criteria(type_name: str) -> Iterator[str]:
    """The components of the search parameters of a type; blank is the system."""
    if type_name:
        yield from (f"{type_name}.{parameter.code}" for parameter in _own(type_name))
    yield from (f"Resource.{code}" for code in _SHARED)


def of_search(type_name: str) -> Iterator[str]:
    """The components of the parameters of a search of one type, or of all (blank)."""
    yield from criteria(type_name)
    yield from () if type_name else ("_type",)
    yield from ("_query", "reason") if type_name == "Task" else ()
    yield from _OF_SEARCHES


def of_lastn() -> Iterator[str]:
    yield from criteria("Observation")
    yield from _OF_LASTN


def form(names: Iterable[str], types: Iterable[str]) -> Json:
    """The schema of a form with these components as its fields."""
    known = components(types)
    return {"type": "object", "properties": {known[name]["name"]: known[name]["schema"] for name in names}}


def of_path(name: str, members: Iterable[str]) -> Json:
    """`members` are the types that may be in the compartment, where the path leads into one."""
    schemas: Mapping[str, tuple[str, Json]] = {
        "id": ("The id of the resource.", primitive("id")),
        "version": ("The number of a version, from 1.", {"type": "string", "pattern": "^[1-9][0-9]{0,8}$"}),
        "member": ("A type, or `*` for all.", _one_of("*", *members)),
    }
    text, schema = schemas[name]
    return {"name": name, "in": "path", "required": True, "description": text, "schema": schema}


def _search_parameter(parameter: SearchParameter, type_name: str) -> Json:
    return _query(parameter.code, _told(parameter, type_name), _TEXTS)


def _told(parameter: SearchParameter, type_name: str) -> str:
    """The type, what is searched, how a value is written, and what a reference may lead to."""
    kind = parameter.stated or parameter.kind
    place = _place(parameter, type_name)
    text = f"{kind.value}{f' of `{place}`' if place else ''}: {_FORMS[kind]}."
    if kind is Kind.REFERENCE and 0 < len(parameter.targets) < min(8, len(resource_types())):
        text += f" Leads to {' | '.join(parameter.targets)}."
    return text


def _place(parameter: SearchParameter, type_name: str) -> str:
    """Its expression, where that is short enough to help."""
    found = (parameter.expression or "").replace("Patient.", f"{type_name}.") if type_name == "Resource" else ""
    expression = found or parameter.expression or ""
    return expression if len(expression) <= _LONGEST_EXPRESSION else ""
