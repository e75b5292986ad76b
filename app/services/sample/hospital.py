"""The organisations that care for the generated patients, and the people who work there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from app.services.sample import people
from app.services.sample.chance import Chance
from app.services.sample.shapes import FACILITIES, HL7, NPI, Code, Entries, Json, concept, reference

SITES = 40
DOCTORS_PER_SITE = 2
WORDS = (
    "Harbor",
    "Riverside",
    "St. Brigid",
    "Mercy",
    "Lakeview",
    "Unity",
    "Greenfield",
    "Beacon",
    "Cedar Hill",
    "Hope",
)
SORTS = ("Medical Center", "General Hospital", "Community Health Center", "Primary Care", "Urgent Care")
SPECIALTIES = (
    (60, Code("208D00000X", "General Practice")),
    (15, Code("207R00000X", "Internal Medicine")),
    (10, Code("208000000X", "Pediatrics")),
    (10, Code("207P00000X", "Emergency Medicine")),
    (5, Code("1041C0700X", "Clinical Social Worker")),
)


@dataclass(frozen=True, slots=True)
class Doctor:
    who: people.Person
    npi: str
    specialty: Code

    @property
    def title(self) -> str:
        return f"Dr. {self.who.name}"


@dataclass(frozen=True, slots=True)
class Site:
    """One organisation at one location. `ident` is the business identifier of both."""

    ident: str
    name: str
    phone: str
    address: Json
    doctors: tuple[Doctor, ...]


@cache
def sites(seed: int) -> tuple[Site, ...]:
    """The sites that the patients of this seed go to."""
    chance = Chance(f"{seed}/hospital")
    return tuple(_site(chance, number) for number in range(SITES))


def _site(chance: Chance, number: int) -> Site:
    place = people.address(chance)
    name = f"{place['city']} {chance.choice(WORDS)} {chance.choice(SORTS)}"
    doctors = (_doctor(chance, number * DOCTORS_PER_SITE + n) for n in range(DOCTORS_PER_SITE))
    return Site(chance.uuid(), name, people.phone(chance), place, tuple(doctors))


def _doctor(chance: Chance, number: int) -> Doctor:
    return Doctor(people.person(chance, (1955, 1994)), f"99999{number:04}9", chance.weighted(SPECIALTIES))


def _email(doctor: Doctor) -> Json:
    local = f"{doctor.who.given}.{doctor.who.family}.{doctor.npi}".encode("ascii", "ignore").decode().replace("'", "")
    return {"system": "email", "value": f"{local}@example.com", "use": "work"}


def _add_site(entries: Entries, chance: Chance, site: Site) -> None:
    mark = [{"system": FACILITIES, "value": site.ident}]
    unless = f"identifier={FACILITIES}|{site.ident}"
    telecom = [{"system": "phone", "value": site.phone}]
    kind = concept(HL7 + "organization-type", "prov", "Healthcare Provider")
    common: Json = {"identifier": mark, "name": site.name, "telecom": telecom}
    body = {**common, "active": True, "type": [kind], "address": [site.address]}
    organization = entries.add("Organization", body, unless=unless)
    spot = people.located(chance, site.address)["extension"][0]["extension"]
    position = {name["url"]: name["valueDecimal"] for name in spot}
    managing = reference(organization, site.name)
    body = {**common, "status": "active", "address": site.address, "position": position}
    location = entries.add("Location", {**body, "managingOrganization": managing}, unless=unless)
    for doctor in site.doctors:
        _add_doctor(entries, doctor, site, reference(organization, site.name), reference(location, site.name))


def _add_doctor(entries: Entries, doctor: Doctor, site: Site, organization: Json, location: Json) -> None:
    mark = [{"system": NPI, "value": doctor.npi}]
    unless = f"identifier={NPI}|{doctor.npi}"
    name = {"family": doctor.who.family, "given": [doctor.who.given], "prefix": ["Dr."]}
    contact = _email(doctor)
    body = {"identifier": mark, "active": True, "name": [name], "telecom": [contact], "address": [site.address]}
    practitioner = entries.add("Practitioner", {**body, "gender": doctor.who.gender}, unless=unless)
    specialty = concept("http://nucc.org/provider-taxonomy", doctor.specialty.code, doctor.specialty.display)
    role = {
        "identifier": mark,
        "active": True,
        "practitioner": reference(practitioner, doctor.title),
        "organization": organization,
        "code": [specialty],
        "specialty": [specialty],
        "location": [location],
        "telecom": [{"system": "phone", "value": site.phone}, contact],
    }
    entries.add("PractitionerRole", role, unless=unless)


def hospital_bundle(seed: int) -> Json:
    """A transaction with every Organization, Location, Practitioner and PractitionerRole of this seed, each created
    only when the server has none with its identifier."""
    chance = Chance(f"{seed}/hospital entries")
    entries = Entries(chance)
    for site in sites(seed):
        _add_site(entries, chance, site)
    return entries.transaction()
