"""Resources and searches at random, of values that meet each other."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tests.search.oracle.memory import Memory, Query
from tests.search.oracle.rules import IMPLIED, PREFIXES, UCUM
from tests.search.parts import CODES, DAYS, FOREIGN, LATE_DAYS, LOGICAL, NUMBERS, PATHS, TIMES, Parts, S, T
from tests.search.shapes import TYPES
from tests.spec.api import Json

KINDS = ("Patient", "Encounter", "Observation", "ServiceRequest", "Task", "Goal")
MAKE = {kind: make for kind, _, make in TYPES}

# What no patch may take away.
NEEDED = {
    "resourceType",
    "id",
    "meta",
    "status",
    "intent",
    "code",
    "class",
    "subject",
    "lifecycleStatus",
    "description",
}


class _Links:
    """What a new resource may refer to."""

    def __init__(self, memory: Memory) -> None:
        self.base, self._memory = memory.base, memory

    def of(self, kinds: Sequence[str]) -> list[str]:
        return [name for name in self._memory.resources if name.startswith(tuple(f"{kind}/" for kind in kinds))]


def resource(random: Random, kind: str, memory: Memory) -> Json:
    made = MAKE[kind](Parts(random, _Links(memory)))
    return {"resourceType": kind, **{name: item for name, item in made.items() if item is not None}}


def patch(random: Random, current: Json, memory: Memory) -> list[Json]:
    """Take one element away, or write one: a choice element in place of the one that is there."""
    name = random.choice([name for name in [*current, ""] if name not in NEEDED])
    if name and random.random() < 0.5:
        return [{"op": "remove", "path": f"/{name}"}]
    fresh = resource(random, current["resourceType"], memory)
    name, value = random.choice([item for item in fresh.items() if item[0] != "resourceType"])
    others = [other for other in current if other != name and _choice(other) and _choice(other) == _choice(name)]
    return [
        *({"op": "remove", "path": f"/{other}"} for other in others),
        {"op": "add", "path": f"/{name}", "value": value},
    ]


def _choice(name: str) -> str:
    """The element to which `valueString` and its like belong."""
    return next((start for start in ("value", "effective", "occurrence", "deceased") if name.startswith(start)), "")


# -- searches


def escaped(text: str) -> str:
    for character in "\\,|$":
        text = text.replace(character, f"\\{character}")
    return text


_CODES = [escaped(code) for code in CODES]
CODE_VALUES = [*_CODES, *(f"{S}|{code}" for code in _CODES), *(f"|{code}" for code in _CODES), f"{T}|", f"{S}|", "none"]
COMPONENT_CODES = ["c1", f"{S}|c2", f"{T}|c3", f"{S}|", "|c1"]
IDENTIFIERS = ["1", f"{S}|1", "|2", f"{T}|", "A-3"]
MOMENTS = [*DAYS, *TIMES, *LATE_DAYS, "2020", "2020-06", "2020-06-15T12:00Z", "2020-06-15T12:00:00"]
UNITS = ["", f"|{UCUM}|mg", f"|{UCUM}|g", "||mm[Hg]", "||mmHg", f"|{S}|mg"]
WORDS = ["mul", "MÜLLER", "Müller", "van", "berg", "e", "gros", "Παπά", "ΠΑΠΑ", "O'Neil", "xx", "x" * 120, "er mu"]
REQUESTED = ["active", "draft", "completed"]

# The values of tokens that are no concepts.
TOKENS: dict[tuple[str, str], list[str]] = {
    ("Patient", "active"): ["true", "false"],
    ("Patient", "deceased"): ["true", "false"],
    ("Patient", "gender"): ["male", "female", "other"],
    ("Patient", "telecom"): ["555", "666", "a@b.org"],
    ("Patient", "phone"): ["555", "666"],
    ("Patient", "email"): ["555", "a@b.org"],
    ("Patient", "identifier"): IDENTIFIERS,
    ("Observation", "status"): ["final", "amended", "preliminary"],
    ("Observation", "component-code"): COMPONENT_CODES,
    ("Encounter", "status"): ["planned", "finished"],
    ("Encounter", "identifier"): IDENTIFIERS,
    ("ServiceRequest", "status"): REQUESTED,
    ("ServiceRequest", "intent"): ["order", "plan"],
    ("ServiceRequest", "priority"): ["routine", "stat"],
    ("ServiceRequest", "requisition"): IDENTIFIERS,
    ("ServiceRequest", "identifier"): IDENTIFIERS,
    ("Task", "status"): ["requested", "completed"],
    ("Task", "intent"): ["order", "proposal"],
    ("Task", "priority"): ["routine", "urgent"],
    ("Goal", "lifecycle-status"): ["active", "completed"],
    ("Goal", "identifier"): IDENTIFIERS,
}
# The parameters that are asked, by kind.
PARAMETERS: dict[str, dict[str, str]] = {
    "Patient": {
        "string": "name family given address address-city address-postalcode",
        "token": "active gender deceased telecom phone email identifier language",
        "date": "birthdate death-date",
        "reference": "general-practitioner organization",
    },
    "Observation": {
        "token": "code category status component-code combo-code value-concept component-value-concept "
        "combo-value-concept method",
        "date": "date value-date",
        "string": "value-string",
        "quantity": "value-quantity component-value-quantity combo-value-quantity",
        "reference": "subject patient encounter has-member performer focus",
    },
    "Encounter": {
        "token": "status class type reason-code identifier",
        "date": "date",
        "quantity": "length",
        "reference": "subject patient part-of participant",
    },
    "ServiceRequest": {
        "token": "status intent code category requisition priority identifier",
        "date": "occurrence authored",
        "uri": "instantiates-uri",
        "reference": "subject patient encounter based-on requester performer",
    },
    "Task": {
        "token": "status intent code business-status priority",
        "date": "authored-on modified period",
        "reference": "subject patient focus based-on part-of owner",
    },
    "Goal": {
        "token": "lifecycle-status category achievement-status identifier",
        "date": "start-date target-date",
        "reference": "subject patient",
    },
}
MODIFIERS: dict[str, tuple[str, ...]] = {
    "token": ("", "", ":not"),
    "string": ("", ":exact", ":contains"),
    "uri": ("", ":below", ":above"),
}
# From a type by a parameter to a type: for chains, and backwards for _has.
STEPS = (
    ("Observation", "subject", "Patient"),
    ("Observation", "encounter", "Encounter"),
    ("Observation", "has-member", "Observation"),
    ("Observation", "performer", "Patient"),
    ("Encounter", "subject", "Patient"),
    ("Encounter", "part-of", "Encounter"),
    ("ServiceRequest", "subject", "Patient"),
    ("ServiceRequest", "encounter", "Encounter"),
    ("ServiceRequest", "based-on", "ServiceRequest"),
    ("Task", "focus", "ServiceRequest"),
    ("Task", "patient", "Patient"),
    ("Task", "part-of", "Task"),
    ("Goal", "subject", "Patient"),
)


def codes(kind: str) -> set[str]:
    return {code for listed in PARAMETERS[kind].values() for code in listed.split()}


def query(random: Random, kind: str, memory: Memory) -> Query:
    return [condition(random, kind, memory) for _ in range(random.choice((1, 1, 2)))]


def condition(random: Random, kind: str, memory: Memory, depth: int = 2) -> tuple[str, str]:
    """One condition: of the resource itself, or one or two references away."""
    if depth and random.random() < 0.25:
        ways = [(f"{code}:{end}.", end) for start, code, end in STEPS if start == kind]
        ways += [(f"_has:{start}:{code}:", start) for start, code, end in STEPS if end == kind]
        way, target = random.choice(ways)
        name, text = condition(random, target, memory, depth - 1)
        return f"{way}{name}", text
    sort = random.choice(list(PARAMETERS[kind]))
    code = random.choice(PARAMETERS[kind][sort].split())
    if random.random() < 0.1:
        return f"{code}:missing", random.choice(("true", "false"))
    if sort == "reference":
        return reference(random, kind, code, memory)
    texts = [value(random, kind, sort, code) for _ in range(random.choice((1, 1, 2)))]
    return f"{code}{random.choice(MODIFIERS.get(sort, ('',)))}", ",".join(texts)


def value(random: Random, kind: str, sort: str, code: str) -> str:
    prefix = random.choice(("", *PREFIXES))
    match sort:
        case "date":
            return prefix + random.choice(MOMENTS)
        case "quantity":
            return f"{prefix}{random.choice((*NUMBERS, '5.40', '0.0054', 30))}{random.choice(UNITS)}"
        case "string":
            return random.choice(WORDS)
        case "uri":
            return random.choice(PATHS)
    text = random.choice(TOKENS.get((kind, code), CODE_VALUES))
    implied = IMPLIED.get((kind, code)) if random.random() < 0.5 else None
    return f"{implied}|{text}" if implied else text


def reference(random: Random, start: str, code: str, memory: Memory) -> tuple[str, str]:
    """To something that is there, mostly; by its id alone only where that cannot mean another type."""
    if random.random() < 0.3:
        value = random.choice(("1", "2"))
        return f"{code}:identifier", random.choice((value, f"{LOGICAL}|{value}", f"{S}|{value}"))
    names = (code, "subject") if code == "patient" else (code,)
    targets = {end for kind, name, end in STEPS if kind == start and name in names}
    known = [name for name in memory.resources if name.partition("/")[0] in targets]
    if not known or random.random() < 0.2:
        return code, f"{FOREIGN}/{random.choice(('Patient', 'Organization', 'Practitioner'))}/1"
    name = random.choice(known)
    kind, _, id_ = name.partition("/")
    typed = [] if code == "patient" else [(f"{code}:{kind}", id_)]
    return random.choice([(code, id_), (code, name), (code, f"{memory.base}/{name}"), *typed])
