"""Regular expressions of filters, matched in time that grows with the text alone and has a limit.

They come with value sets that anybody may have written, and Python's `re` can be made to run for ever. This is a set of
states that are followed at once, remembered as they are met. It knows what filters use: literals, `.`, classes,
groups, `|`, `* + ?`, `{m,n}`, and `^` and `$` at the ends; a pattern is for the whole value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from app.fhir.terminology.refusals import too_costly, unsupported

MOST_STATES = 2000
_MOST_REMEMBERED = 5000
_MOST_FOLLOWED = 2_000_000

_Test = Callable[[str], bool]
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_COUNT = re.compile(r"\{(\d{1,4})(,?)(\d{0,4})\}")
_COUNTS = {"*": (0, None), "+": (1, None), "?": (0, 1)}
_SPECIAL = frozenset("^$*+?{")
_LETTERS = frozenset("dDsSwWntr")


@dataclass(eq=False, slots=True)
class _State:
    """Where a match may stand: with a test it goes on over a character that passes, without one it goes on at once."""

    test: _Test | None = None
    next: list[_State] = field(default_factory=list)


_Part = tuple[_State, _State]  # where it starts and where it ends


class Pattern:
    """One regular expression. Raises Malformed when it is not one that is known here, or has too many states."""

    def __init__(self, text: str) -> None:
        self._text = text.removeprefix("^")
        if self._text.endswith("$") and not self._text.endswith("\\$"):
            self._text = self._text[:-1]
        self._at = 0
        self._states = 0
        self._followed = 0
        try:
            start, self._end = self._alternatives(0)
        except RecursionError:
            raise too_costly("The regular expression of a filter is nested too deeply.") from None
        if self._at < len(self._text):
            raise _unknown()
        self._first = _reached([start])
        self._steps: dict[tuple[frozenset[_State], str], frozenset[_State]] = {}

    def matches(self, text: str) -> bool:
        """Whether the whole text fits."""
        states = self._first
        for character in text:
            states = self._step(states, character)
            if not states:
                return False
        return self._end in states

    def _step(self, states: frozenset[_State], character: str) -> frozenset[_State]:
        key = (states, character)
        found = self._steps.get(key)
        if found is None:
            self._followed += len(states)
            if self._followed > _MOST_FOLLOWED:
                raise too_costly("The regular expression of a filter takes too long.")
            found = _reached([s for state in states if state.test and state.test(character) for s in state.next])
            if len(self._steps) < _MOST_REMEMBERED:
                self._steps[key] = found
        return found

    # -- reading

    def _alternatives(self, depth: int) -> _Part:
        start, end = self._state(), self._state()
        while True:
            first, last = self._sequence(depth)
            start.next.append(first)
            last.next.append(end)
            if not self._taken("|"):
                return start, end

    def _sequence(self, depth: int) -> _Part:
        start = end = self._state()
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            begin = self._at
            part = self._atom(depth)
            first, last = self._repeated(part, begin, depth)
            end.next.append(first)
            end = last
        return start, end

    def _repeated(self, part: _Part, begin: int, depth: int) -> _Part:
        least, most = self._count()
        if (least, most) == (1, 1):
            return part
        stop = self._at
        start = end = self._state()
        for number in range(max(least, most or 0) or 1):
            first, last = part if number == 0 else self._again(begin, depth)
            skip = self._state()
            end.next.append(first)
            if number >= least:
                end.next.append(skip)
            last.next.append(skip)
            if most is None and number + 1 >= least:
                last.next.append(first)
            end = skip
        self._at = stop
        return (start, end) if most != 0 else (end, end)

    def _again(self, begin: int, depth: int) -> _Part:
        """The same part once more."""
        self._at = begin
        return self._atom(depth)

    def _count(self) -> tuple[int, int | None]:
        """How often the part before may stand."""
        counted = _COUNT.match(self._text, self._at)
        mark = self._text[self._at : self._at + 1]
        if counted is None and mark not in _COUNTS:
            return 1, 1
        self._at = counted.end() if counted else self._at + 1
        self._taken("?")  # what is matched first makes no difference for the whole
        if counted is None:
            return _COUNTS[mark]
        least, comma, most = counted.groups()
        if most and int(most) < int(least):
            raise _unknown()
        return int(least), (int(most) if most else None) if comma else int(least)

    def _atom(self, depth: int) -> _Part:
        if self._taken("("):
            if self._taken("?") and not self._taken(":"):
                raise _unknown()
            part = self._alternatives(depth + 1)
            if not self._taken(")"):
                raise _unknown()
            return part
        test = self._character()
        start, end = self._state(test), self._state()
        start.next.append(end)
        return start, end

    def _character(self) -> _Test:
        character = self._text[self._at]
        if character == "[":
            return self._class()
        if character in _SPECIAL:
            raise _unknown()
        self._at += 1
        if character == ".":
            return lambda one: one not in "\r\n"
        if character == "\\":
            return self._escaped()
        return lambda one: one == character

    def _escaped(self) -> _Test:
        character = self._text[self._at : self._at + 1]
        if not character or (character.isalnum() and character not in _LETTERS):
            raise _unknown()
        self._at += 1
        return _single(f"\\{character}" if character in _LETTERS else re.escape(character))

    def _class(self) -> _Test:
        found = _CLASS.match(self._text, self._at)
        if found is None:
            raise _unknown()
        self._at = found.end()
        return _single(found[0])

    def _taken(self, mark: str) -> bool:
        if self._text.startswith(mark, self._at):
            self._at += len(mark)
            return True
        return False

    def _state(self, test: _Test | None = None) -> _State:
        self._states += 1
        if self._states > MOST_STATES:
            raise too_costly("The regular expression of a filter is too large.")
        return _State(test)


def _single(text: str) -> _Test:
    """The test that one character is of a class, which `re` can do without searching."""
    try:
        known = re.compile(text)
    except re.error:
        raise _unknown() from None
    return lambda one: known.fullmatch(one) is not None


def _reached(states: list[_State]) -> frozenset[_State]:
    """The states and those to which they go on at once."""
    found = set(states)
    while states:
        state = states.pop()
        if state.test is None:
            new = [follower for follower in state.next if follower not in found]
            found.update(new)
            states.extend(new)
    return frozenset(found)


def _unknown() -> Exception:
    return unsupported("The regular expression of a filter of a value set is not one that this server understands.")
