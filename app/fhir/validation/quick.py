"""The quick way through an object of a known shape: its checks unrolled into one function without a loop.

The source is made of the fixed text of the `Quick`s below and of numbered names; nothing that a client sent enters it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.fhir.findings import MOST, NOTE, Check, Finding, Outcome, below, has_error, step
from app.fhir.json import Number
from app.fhir.primitives import FORMATS, LARGEST_INTEGER, LONGEST_STRING, MOST_DIGITS
from app.fhir.validation.walk import Walk


@dataclass(frozen=True, slots=True)
class Quick:
    """A Python expression of what the check says of a value, mostly None without a call of the check.

    `{v}` stands for the name of the value, `{check}` for the check, `{t}` for a name of its own; other braces for the
    `constants`.
    """

    source: str
    constants: Mapping[str, Any] = field(default_factory=dict)


CALL = Quick("{check}({v}, walk)")
NOTHING = Quick("None")


@dataclass(frozen=True, slots=True)
class Test:
    """A check of a value and the quick way to its answer; for an array, `item` is the test of each entry."""

    check: Check
    quick: Quick = CALL
    item: Test | None = None


def _unless(right: str, **constants: Any) -> Quick:
    """For a check that says nothing of values for which the expression `right` is true."""
    return Quick(f"None if {right} else {{check}}({{v}}, walk)", constants)


def _date(type_name: str) -> Quick:
    right = "{v}.__class__ is str and {fullmatch}({v}) and {v}[8:10] < '29'"
    return _unless(right, fullmatch=FORMATS[type_name].fullmatch)


_STRING = _unless(f"{{v}}.__class__ is str and {{v}} and {{v}}.isprintable() and len({{v}}) <= {LONGEST_STRING}")
_CODE = "{v}.__class__ is str and {v} and {v}.isprintable() and ' ' not in {v}"
_URI = _unless(_CODE + " and {v}[0] not in 'u#'")
_INTEGER = f"{{v}}.__class__ is int and %d <= {{v}} <= {LARGEST_INTEGER}"
# Only the reader makes Numbers, so their syntax is right.
_DECIMAL = f"{{v}}.__class__ is {{Number}} and len({{v}}) <= {MOST_DIGITS} and 'e' not in {{v}}.lower()"

QUICK: Mapping[str, Quick] = {
    "boolean": _unless("{v} is True or {v} is False"),
    "canonical": _URI,
    "code": _unless(_CODE),
    "date": _date("date"),
    "dateTime": _date("dateTime"),
    "decimal": _unless("{v}.__class__ is int or " + _DECIMAL, Number=Number),
    "instant": _date("instant"),
    "integer": _unless(_INTEGER % (-LARGEST_INTEGER - 1)),
    "markdown": _STRING,
    "positiveInt": _unless(_INTEGER % 1),
    "string": _STRING,
    "unsignedInt": _unless(_INTEGER % 0),
    "uri": _URI,
    "url": _URI,
}


def member(allowed: frozenset[str]) -> Quick:
    return _unless("{v}.__class__ is str and {v} in {allowed}", allowed=allowed)


def of_known_shape(shapes: Mapping[tuple[str, ...], Check]) -> Quick:
    known = "{v}.__class__ is dict and ({t} := {shapes}.get(tuple({v})))"
    return Quick(f"{{t}}({{v}}, walk) if {known} else {{check}}({{v}}, walk)", {"shapes": shapes})


def unrolled(tests: Mapping[str, Test], wholes: Sequence[Check], rules: Sequence[Check]) -> Check:
    """The check of objects with exactly the properties of `tests`, in order; the `rules` judge only valid ones."""
    constants: dict[str, Any] = {"settle": settle, "settle_entry": settle_entry, "names": tuple(tests)}
    constants["has_error"] = has_error
    constants |= {f"whole{n}": whole for n, whole in enumerate([*wholes, *rules])}
    lines = [f"[{', '.join(f'v{n}' for n in range(len(tests)))}] = value.values()", "found = None"]
    for n, test in enumerate(tests.values()):
        lines += _value(test, n) if test.item is None else _entries(test.item, n)
        constants |= {f"check{n}": test.check, f"item{n}": test.item and test.item.check}
        constants |= {f"k{n}{name}": constant for name, constant in (test.item or test).quick.constants.items()}
    lines += [line for n in range(len(wholes)) for line in _whole(n)]
    if rules:
        lines += ["if found and has_error(found):", "    return found"]
        lines += [line for n in range(len(rules)) for line in _whole(len(wholes) + n)]
    return _function([*lines, "return found"], constants)


def _value(test: Test, n: int) -> list[str]:
    return [
        f"outcome = {_fill(test.quick, f'v{n}', f'check{n}', n)}",
        "if outcome:",
        f"    found = settle(found, outcome, value, names[{n}], walk)",
    ]


def _entries(item: Test, n: int) -> list[str]:
    """The same for an array, entry by entry."""
    return [
        f"if v{n}.__class__ is list and v{n}:",
        f"    for index, entry in enumerate(v{n}):",
        f"        outcome = {_fill(item.quick, 'entry', f'item{n}', n)}",
        "        if outcome:",
        f"            found = settle_entry(found, outcome, v{n}, names[{n}], index, walk)",
        f"            if found and len(found) >= {MOST}:",
        "                break",
        "else:",
        f"    found = settle(found, check{n}(v{n}, walk), value, names[{n}], walk)",
    ]


def _whole(n: int) -> list[str]:
    return [f"outcome = whole{n}(value, walk)", "if outcome:", "    found = [*(found or ()), *outcome]"]


def _fill(quick: Quick, value: str, check: str, n: int) -> str:
    return quick.source.format(v=value, check=check, t=f"t{n}", **{name: f"k{n}{name}" for name in quick.constants})


def _function(body: Sequence[str], constants: dict[str, Any]) -> Check:
    source = "\n    ".join(["def check(value, walk):", *body])
    exec(compile(source, "<shape>", "exec"), constants)  # noqa: S102 - fixed text and numbers only
    made: Callable[[Any, Any], Outcome] = constants["check"]
    return made


def settle(found: list[Finding] | None, outcome: Outcome, value: Any, name: str, walk: Walk) -> list[Finding] | None:
    """Add what the check of the property `name` said to what was found before."""
    if outcome is NOTE:
        walk.note(value, name)
    elif outcome:
        found = found or []
        found.extend(below(outcome, step(name)))
    return found


def settle_entry(
    found: list[Finding] | None, outcome: Outcome, entries: list[Any], name: str, index: int, walk: Walk
) -> list[Finding] | None:
    """The same for one entry of the array that is the property `name`."""
    if outcome is NOTE:
        walk.note(entries, index)
    elif outcome:
        found = found or []
        found.extend(below(outcome, f"{step(name)}[{index}]"))
    return found
