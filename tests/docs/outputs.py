"""What a command says, compared with what a page says it says."""

from __future__ import annotations

import re
from collections.abc import Sequence

ANYTHING = "…"


def is_as_shown(expected: Sequence[str], found: Sequence[str]) -> bool:
    """Whether lines are as expected: `…` stands for anything, alone on its line for any number of lines."""
    return _matched(expected, _joined(found), whole=True)


def first_difference(expected: Sequence[str], found: Sequence[str]) -> str:
    """The first expected line that does not come."""
    text = _joined(found)
    for count in range(1, len(expected) + 1):
        if not _matched(expected[:count], text, whole=False):
            return expected[count - 1]
    return "nothing more"


def _joined(lines: Sequence[str]) -> str:
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _matched(expected: Sequence[str], text: str, *, whole: bool) -> bool:
    pattern = re.compile("".join(map(_pattern, expected)))
    return bool(pattern.fullmatch(text) if whole else pattern.match(text))


def _pattern(line: str) -> str:
    if line.strip() == ANYTHING:
        return r"(?:.*\n)*?"
    return ".*?".join(map(re.escape, line.rstrip().split(ANYTHING))) + r"\n"
