"""Values of FHIR datatypes at random, from few enough choices that they meet each other."""

from __future__ import annotations

from random import Random
from typing import Any, Protocol

from tests.spec.api import UCUM, Json

S, T = "https://example.org/s", "https://example.org/t"
WORDS = ("Müller", "muller", "MULLERHEIM", "van den Berg", "Séverine", "Ann-Marie", "O'Neil", "Groß", "Παπά", "x" * 300)
DAYS = ("1999", "2000", "2000-02", "2000-02-29", "2000-03-01", "2000-12-31", "2001-01", "2020-06-15")
LATE_DAYS = ("2021", "2021-03", "2021-03-13", "2022-12-31")
TIMES = (
    "2020-06-15T12:00:00Z",
    "2020-06-15T12:00:00+02:00",
    "2020-06-15T12:00:00.250Z",
    "2020-06-15T12:00:30Z",
    "2020-06-16T01:00:00+14:00",
    "2020-12-31T23:59:59.999-05:00",
)
NUMBERS = (5.4, 5.40001, 5.44, 5.46, 5400, 0, -3, 100, 99.5, 100.4)
CODES = ("one", "two", "ONE", "a|b,c", "three")
FOREIGN = "https://elsewhere.example.org/fhir"
LOGICAL = "https://example.org/logical"
PATHS = (
    "http://example.org/a",
    "http://example.org/a/b",
    "http://example.org/a/b/c",
    "http://example.org/ab",
    "urn:oid:1.2.3",
)


class Linked(Protocol):
    base: str

    def of(self, kinds: tuple[str, ...]) -> list[str]: ...


class Parts:
    """One source of chance for all values of a corpus."""

    def __init__(self, random: Random, links: Linked) -> None:
        self._random, self._links = random, links

    # -- chance

    def one(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def upto(self, most: int) -> int:
        return self._random.randint(0, most)

    def flag(self) -> bool:
        return self._random.random() < 0.5

    def some(self, **elements: Any) -> Json:
        """Two of three of the elements that have a value."""
        return {
            name: item for name, item in elements.items() if item not in (None, [], {}) and self._random.random() < 0.67
        }

    def either(self, **choices: Any) -> Json:
        """One of the choices, or none."""
        name, item = self._random.choice([*choices.items(), ("", None)])
        return {name: item} if item else {}

    # -- texts and codes

    def word(self) -> str:
        return str(self.one(*WORDS))

    def text(self) -> str:
        return f"{self.word()} {self.word()}"[:200]

    def names(self) -> list[Json]:
        found = [
            self.some(family=self.word(), given=[self.word(), self.word()][: self.upto(2)], text=self.text())
            for _ in "12"
        ]
        return [name for name in found if name]

    def address(self) -> Json:
        return {"country": "US"} | self.some(line=[self.text()], city=self.word(), postalCode=self.one("02134", "1010"))

    def telecom(self) -> list[Json]:
        return [{"system": self.one("phone", "email"), "value": self.one("555", "666", "a@b.org")} for _ in "12"]

    def gender(self) -> Any:
        return self.one("female", "male", "other")

    def coding(self) -> Json:
        return {"code": self.one(*CODES)} | self.either(system=self.one(S, T)) | self.some(display=self.text())

    def concept(self) -> Json:
        codings = [self.coding() for _ in range(self.upto(3))]
        return {"coding": codings} if codings else {"text": self.text()}

    def component_code(self) -> Json:
        """Never a code of the observation itself: invariant obs-7."""
        return {"coding": [{"system": S, "code": self.one("c1", "c2", "c3")}]}

    def concepts(self) -> list[Json]:
        return [self.concept() for _ in range(1 + self.upto(1))]

    def identifier(self) -> Json:
        return {"value": self.one("1", "2", "A-3")} | self.either(system=self.one(S, T))

    def identifiers(self) -> list[Json]:
        return [self.identifier() for _ in range(self.upto(2))]

    # -- dates

    def day(self) -> Any:
        return self.one(*DAYS)

    def late_day(self) -> Any:
        return self.one(*LATE_DAYS)

    def moment(self) -> Any:
        return self.one(*DAYS, *TIMES)

    def period(self) -> Json:
        short = {"start": "2020-06-15", "end": "2020-06-15T18:00:00+02:00"}
        return self.one(short, *(self.some(start=self.moment(), end=self.late_day()) for _ in "123"))

    # -- numbers

    def number(self, low: float, high: float) -> float:
        return round(self._random.uniform(low, high), 3)

    def decimal(self) -> Any:
        return self.one(*NUMBERS)

    def quantity(self) -> Json:
        unit = self.one(
            {"system": UCUM, "code": "mg"},
            {"system": UCUM, "code": "g"},
            {"system": UCUM, "code": "mg", "unit": "mg"},
            {"unit": "mg"},
            {"system": S, "code": "mg"},
            {"system": UCUM, "code": "mm[Hg]", "unit": "mmHg"},
            {},
        )
        return {"value": self.decimal(), **unit} | self.either(comparator=self.one("<", "<=", ">", ">="))

    def duration(self) -> Json:
        return {"value": self.one(15, 30, 60), "system": UCUM, "code": "min", "unit": "min"}

    def age(self) -> Json:
        return {"value": self.one(20, 40, 60), "system": UCUM, "code": "a"}

    # -- references

    def uri(self) -> Any:
        return self.one(*PATHS)

    def canonical(self) -> str:
        return f"{self.one(*PATHS[:4])}{self.one('', '|1', '|2')}"

    def local(self, *kinds: str) -> Json | None:
        """A reference to something that is there, in one of the forms for it."""
        known = self._links.of(kinds)
        if not known:
            return None
        target = self.one(*known)
        return {"reference": self.one(target, target, f"{self._links.base}/{target}", f"{target}/_history/1")}

    def locals(self, *kinds: str) -> list[Json]:
        found = self.local(*kinds)
        return [found] if found else []

    def link(self, *kinds: str) -> Json:
        """Mostly a reference to something that is there; else one to elsewhere, or none but in words."""
        others = (
            {"reference": f"{FOREIGN}/{kinds[0]}/1"},
            {"identifier": {"system": LOGICAL, "value": self.one("1", "2")}, "type": kinds[0]},
            {"display": "somebody"},
        )
        known = None if self._random.random() < 0.25 else self.local(*kinds)
        return known or dict(self.one(*others))

    def links(self, *kinds: str) -> list[Json]:
        return [self.link(*kinds) for _ in range(1 + self.upto(1))]
