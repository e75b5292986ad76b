"""The strict JSON reader and the writer. Everything that a client may not say in JSON at all is refused here."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from app.errors import Invalid
from app.fhir import json_places as places


class Number(str):
    """A JSON number that is not a plain integer of up to 18 digits. Keeps its text: `1.00`, `1.0e2`."""

    __slots__ = ()


# Escapes that yield a control character, a NUL or half of a surrogate pair; \t \n \r are allowed in FHIR strings.
_SUSPECT_ESCAPE = re.compile(rb"\\(?:[bf]|u00[01]|u[dD][89a-fA-F])")
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")


class _Refused(Exception):
    """What the decoder meets that is not strict: the sentence, and what finds its place in the text."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Refused("An object names the same property twice", places.repeated_name)
    return found


def _integer(text: str) -> int | Number:
    if text == "-0":
        return Number(text)
    return int(text) if len(text) < 19 or len(text.removeprefix("-")) < 19 else Number(text)


def _constant(_: str) -> Any:
    raise _Refused("NaN and Infinity are not JSON", places.constant)


_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=Number, parse_int=_integer, parse_constant=_constant
).decode


def loads(raw: bytes) -> Any:
    """Read UTF-8 JSON. Raises Invalid, with line and column, when it is not strict JSON."""
    try:
        text = raw.decode()
        value = _decode(text)
    except UnicodeDecodeError as error:
        raise Invalid(f"The body is not UTF-8: byte {error.start}.") from None
    except _Refused as refused:
        sentence, find = refused.args
        raise Invalid(f"{sentence}{places.place(text, find(text))}.") from None
    except json.JSONDecodeError as error:
        raise Invalid(f"Not JSON: {error.msg} at line {error.lineno}, column {error.colno}.") from None
    except RecursionError:
        raise Invalid(f"The JSON is nested too deeply{places.place(text, places.deepest(text))}.") from None
    if b"\\" in raw and _SUSPECT_ESCAPE.search(raw) and _has_forbidden_characters(value):
        where = places.place(text, places.forbidden_escape(text))
        raise Invalid(f"A string holds a control character or half of a surrogate pair{where}.")
    return value


def _has_forbidden_characters(value: Any) -> bool:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if _FORBIDDEN.search(item):
                return True
        elif isinstance(item, dict):
            stack.extend(item)
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)
    return False


def _number(value: Any) -> orjson.Fragment:
    if isinstance(value, Number):
        return orjson.Fragment(value.encode())
    raise TypeError(type(value).__name__)


def _write(value: Any, options: int) -> bytes:
    try:
        return orjson.dumps(value, _number, options | orjson.OPT_PASSTHROUGH_SUBCLASS)
    except orjson.JSONEncodeError as error:
        raise Invalid(f"The content cannot be written as JSON: {error}.") from None


def dumps(value: Any) -> bytes:
    """Write compact UTF-8 JSON; numbers keep the text they came with."""
    return _write(value, 0)


def pretty(raw: bytes) -> bytes:
    """The same JSON, indented."""
    return _write(loads(raw), orjson.OPT_INDENT_2)
