"""Where a text that is no strict JSON goes wrong: asked only when it is refused, so that reading has nothing to count.

Each function returns the index of the place in the text; None when it is not found soon enough to be worth the search.
"""

from __future__ import annotations

import json
import re
import sys
from itertools import islice

# Other requests wait meanwhile: about a second at most, in which a bundle of twenty megabytes is searched.
_MOST_TOKENS = 2_000_000

# Nothing in these goes back, whatever the text: a string without an end is one too, and a token comes after the other.
_STRING = r'"(?:[^"\\]+|\\.)*"?'
_STRING_OR_CONSTANT = re.compile(rf"{_STRING}|(NaN|-?Infinity)", re.DOTALL)
_NAME_OR_BRACE = re.compile(rf"({_STRING})\s*(:)?|[{{}}]", re.DOTALL)
_STRING_OR_BRACKET = re.compile(rf"{_STRING}|[\[\]{{}}]", re.DOTALL)
_PAIR = r"u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_BAD = r"[bf]|u00(?:0[0-8bcefBCEF]|1[0-9a-fA-F])|u[dD][89a-fA-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(rf"\\(?:{_PAIR}|({_BAD})|.)", re.DOTALL)


def place(text: str, index: int | None) -> str:
    """For the end of a sentence: ` at line 3, column 14`; blank without an index."""
    if index is None:
        return ""
    return f" at line {text.count(chr(10), 0, index) + 1}, column {index - text.rfind(chr(10), 0, index)}"


def constant(text: str) -> int | None:
    """The first NaN or Infinity outside strings."""
    return _first(_STRING_OR_CONSTANT, text)


def forbidden_escape(text: str) -> int | None:
    """The first escape that yields a control character or half of a surrogate pair."""
    return _first(_ESCAPE, text)


def _first(tokens: re.Pattern[str], text: str) -> int | None:
    """The first token that fills the group of the pattern."""
    found = islice(tokens.finditer(text), _MOST_TOKENS)
    return next((token.start() for token in found if token[1]), None)


def repeated_name(text: str) -> int | None:
    """The first name that its object has named before."""
    objects: list[set[str]] = []
    for found in islice(_NAME_OR_BRACE.finditer(text), _MOST_TOKENS):
        if found[2]:
            name = json.loads(found[1]) if "\\" in found[1] else found[1][1:-1]
            if name in objects[-1]:
                return found.start()
            objects[-1].add(name)
        elif found[0] == "{":
            objects.append(set())
        elif found[0] == "}":
            objects.pop()
    return None


def deepest(text: str) -> int | None:
    """The first of the brackets that are nested most deeply, or of those that nothing could read."""
    depth, most, at = 0, 0, None
    for number, found in enumerate(_STRING_OR_BRACKET.finditer(text)):
        sign = found[0]
        depth += (sign in "[{") - (sign in "]}")
        if depth > most:
            most, at = depth, found.start()
        if most > sys.getrecursionlimit():
            return at
        if number == _MOST_TOKENS:
            return None
    return at
