"""What one visit is, and the patient's chart that it adds to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from app.services.sample.chance import Chance
from app.services.sample.hospital import Doctor, Site
from app.services.sample.people import Person
from app.services.sample.shapes import FACILITIES, NPI, Code, Entries, Json, reference


@dataclass(slots=True)
class Chart:
    """One patient's bundle while it is made. `standing` holds chronic problems with their Condition."""

    chance: Chance
    entries: Entries
    who: Person
    urn: str
    insurer: str
    allergies: list[Code] = field(default_factory=list)
    standing: list[tuple[Code, str]] = field(default_factory=list)
    medicines: list[Code] = field(default_factory=list)

    @property
    def subject(self) -> Json:
        return reference(self.urn)


@dataclass(slots=True)
class Visit:
    """One encounter and what was done in it; the later documents and bills list it."""

    kind: str
    why: Code
    start: datetime
    end: datetime
    site: Site
    doctor: Doctor
    urn: str = ""
    problems: list[tuple[Code, str]] = field(default_factory=list)
    done: list[tuple[Code, str]] = field(default_factory=list)
    vaccines: list[tuple[Code, str]] = field(default_factory=list)
    prescribed: list[tuple[Code, str]] = field(default_factory=list)
    planned: list[Code] = field(default_factory=list)

    @property
    def encounter(self) -> Json:
        return reference(self.urn)

    @property
    def practitioner(self) -> Json:
        return reference(f"Practitioner?identifier={NPI}|{self.doctor.npi}", self.doctor.title)

    @property
    def organization(self) -> Json:
        return reference(f"Organization?identifier={FACILITIES}|{self.site.ident}", self.site.name)

    @property
    def location(self) -> Json:
        return reference(f"Location?identifier={FACILITIES}|{self.site.ident}", self.site.name)
