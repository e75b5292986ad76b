"""Text to tokens (http://hl7.org/fhirpath/N1, section 11)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.fhir.fhirpath.errors import FhirPathError

MAX_LENGTH = 8_000

_DATE = r"\d{4}(?:-\d\d(?:-\d\d)?)?"
_TIME = r"\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?"
_TOKEN = re.compile(
    rf"""
      (?P<blank>    \s+ | //[^\n]* | /\*.*?\*/ )
    | (?P<dateTime> @{_DATE}T(?:{_TIME}(?:Z|[+-]\d\d:\d\d)?)? )
    | (?P<date>     @{_DATE} )
    | (?P<time>     @T{_TIME} )
    | (?P<number>   \d+(?:\.\d+)? )
    | (?P<string>   '(?:[^'\\]|\\.)*' )
    | (?P<quoted>   `(?:[^`\\]|\\.)*` )
    | (?P<variable> %(?:[A-Za-z_]\w*|`(?:[^`\\]|\\.)*`|'(?:[^'\\]|\\.)*') | \$(?:this|index|total)\b )
    | (?P<name>     [A-Za-z_]\w* )
    | (?P<symbol>   <= | >= | != | !~ | [-+*/&|=~<>.,()\[\]{{}}] )
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPES = {"r": "\r", "n": "\n", "t": "\t", "f": "\f"} | {c: c for c in "\\/'\"`"}


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is a group of the pattern above or `end`; `text` has no quotes and no escapes."""

    kind: str
    text: str
    position: int


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) == 5:
        return chr(int(code[1:], 16))
    if code not in _ESCAPES:
        raise FhirPathError(f"A string holds an escape that FHIRPath does not have, at character {match.start()}.")
    return _ESCAPES[code]


def _text(kind: str, text: str) -> str:
    if kind in ("string", "quoted"):
        return _ESCAPE.sub(_unescape, text[1:-1])
    if kind == "variable" and text[1] in "`'":
        return "%" + _ESCAPE.sub(_unescape, text[2:-1])
    return text.lstrip("@") if kind in ("date", "dateTime", "time") else text


def tokens(text: str) -> list[Token]:
    """Every token of `text` and an `end`. Raises FhirPathError."""
    if len(text) > MAX_LENGTH:
        raise FhirPathError(f"The expression is longer than {MAX_LENGTH} characters.")
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise FhirPathError(f"The expression cannot be read from character {position + 1} on.")
        kind = match.lastgroup or ""
        if kind != "blank":
            found.append(Token(kind, _text(kind, match[0]), position + 1))
        position = match.end()
    return [*found, Token("end", "", position + 1)]
