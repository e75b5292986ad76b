"""People who do not exist: names, addresses and the Patient resource."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from app.services.sample.chance import Chance
from app.services.sample.shapes import CORE, HL7, RECORDS, Code, Json, concept, narrative, words

FEMALE = words(
    "Abebi Adriana Amelia Anaïs Aroha Aylin Beatriz Blessing Camila Chidinma Dalia Elena Esperanza Farida Fiona "
    "Grace Hana Imani Ingrid Jasmine Joan Kalani Keiko Leilani Linh Lucía Maeve Mei Nadia Noor Olga Priya Rosa "
    "Ruth Sadie Shanice Sofia Thandiwe Wanda Yara Zoë"
)
MALE = words(
    "Abdul Ahmed Alejandro Andre Ángel Benedikt Carlos Chidi Daniel Darnell Diego Dmitri Emeka Ernesto Felix "
    "George Hamza Haruto Isaac Jamal Jérôme José Kaleo Kofi Liam Luis Malik Mateo Minh Nikhil Omar Pavel Rafael "
    "Samuel Søren Tariq Terrence Tomás Viktor Wei Yusuf"
)
FAMILY = words(
    "Abara Adeyemi Aguilar Ahmadi Alvarez Begay Bianchi Boateng Brooks Castillo Chaudhry Chen Delgado Diallo "
    "Dubois Eriksen Fernández Flores Garcia Goldstein Gupta Hall Hernandez Hussain Ito Jackson Jefferson Kahananui "
    "Kang Kelly Kowalski Lam Larsen Le López Mbeki McCarthy Mendoza Mitchell Moore Müller Nakamura Ng Nguyễn Novak "
    "O'Brien Okafor Ortiz Park Patel Petrov Pham Quispe Ramírez Reed Rossi Rubin Saeed Santos Schmidt Sharma Silva "
    "Singh Taylor Tesfaye Thompson Torres Tran Usman Vargas Walker Washington Wójcik Yazzie Young Zhang Ziegler"
)
STREETS = words(
    "Alder Ashby Bay Beacon Birch Bridge Brook Canal Cedar Chapel Church Clay Commerce Court Cypress Depot Dover Elm "
    "Ferry Front Garden Granite Grove Harbor High Hill Juniper Lake Laurel Liberty Linden Maple Market Meadow Mill "
    "Oak Orchard Park Pearl Pine Pleasant Pond Prospect River School Spring State Summit Union Valley Vine Walnut"
)
KINDS = ("Street", "Avenue", "Road", "Lane", "Court", "Way", "Terrace", "Boulevard")
# name, state, first three digits of the postal code, latitude, longitude
CITIES = (
    ("Springfield", "MA", "011", 42.1015, -72.5898),
    ("Worcester", "MA", "016", 42.2626, -71.8023),
    ("Lowell", "MA", "018", 42.6334, -71.3162),
    ("Boston", "MA", "021", 42.3601, -71.0589),
    ("Fall River", "MA", "027", 41.7015, -71.1550),
    ("Providence", "RI", "029", 41.8240, -71.4128),
    ("Manchester", "NH", "031", 42.9956, -71.4548),
    ("Portland", "ME", "041", 43.6591, -70.2568),
    ("Burlington", "VT", "054", 44.4759, -73.2121),
    ("Hartford", "CT", "061", 41.7658, -72.6734),
    ("New Haven", "CT", "065", 41.3083, -72.9279),
    ("Newark", "NJ", "071", 40.7357, -74.1724),
    ("Albany", "NY", "122", 42.6526, -73.7562),
    ("Rochester", "NY", "146", 43.1566, -77.6088),
    ("Philadelphia", "PA", "191", 39.9526, -75.1652),
    ("Baltimore", "MD", "212", 39.2904, -76.6122),
)
RACES = (
    (60, Code("2106-3", "White")),
    (18, Code("2054-5", "Black or African American")),
    (12, Code("2028-9", "Asian")),
    (3, Code("1002-5", "American Indian or Alaska Native")),
    (2, Code("2076-8", "Native Hawaiian or Other Pacific Islander")),
)
ETHNICITIES = ((78, Code("2186-5", "Not Hispanic or Latino")), (22, Code("2135-2", "Hispanic or Latino")))
LANGUAGES = (
    (70, Code("en-US", "English (United States)")),
    (16, Code("es", "Spanish")),
    (4, Code("pt", "Portuguese")),
    (4, Code("zh", "Chinese")),
    (3, Code("vi", "Vietnamese")),
    (3, Code("ht", "Haitian")),
)
MARITAL = (
    (45, Code("M", "Married")),
    (35, Code("S", "Never Married")),
    (12, Code("D", "Divorced")),
    (8, Code("W", "Widowed")),
)
OMB = "urn:oid:2.16.840.1.113883.6.238"


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody: what the Patient and the notes about them say."""

    given: str
    middle: str
    family: str
    gender: str
    birth: date

    @property
    def name(self) -> str:
        return f"{self.given} {self.family}"


def person(chance: Chance, born: tuple[int, int] = (1932, 2019)) -> Person:
    gender = chance.choice(("female", "male"))
    names = FEMALE if gender == "female" else MALE
    birth = date.fromordinal(chance.randint(date(born[0], 1, 1).toordinal(), date(born[1], 12, 31).toordinal()))
    return Person(chance.choice(names), chance.choice(names), chance.choice(FAMILY), gender, birth)


def address(chance: Chance) -> Json:
    city, state, area, _, _ = chance.choice(CITIES)
    street = f"{chance.randint(1, 980)} {chance.choice(STREETS)} {chance.choice(KINDS)}"
    lines = [street, f"Apt {chance.randint(1, 90)}"] if chance.often(0.3) else [street]
    postal = f"{area}{chance.randint(1, 99):02}"
    return {"line": lines, "city": city, "state": state, "postalCode": postal, "country": "US"}


def located(chance: Chance, place: Json) -> Json:
    """The address with a geolocation somewhere in its city."""
    latitude, longitude = next((lat, lon) for name, _, _, lat, lon in CITIES if name == place["city"])
    parts = [("latitude", latitude), ("longitude", longitude)]
    inner = [{"url": name, "valueDecimal": chance.decimal(at - 0.1, at + 0.1, 13)} for name, at in parts]
    return {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/geolocation", "extension": inner}], **place}


def phone(chance: Chance) -> str:
    return f"555-{chance.randint(200, 999)}-{chance.randint(0, 9999):04}"


def _category(url: str, value: Code) -> Json:
    category = {"system": OMB, "code": value.code, "display": value.display}
    parts = [{"url": "ombCategory", "valueCoding": category}, {"url": "text", "valueString": value.display}]
    return {"url": CORE + url, "extension": parts}


def _identifiers(chance: Chance, ident: str) -> list[Json]:
    def typed(code: str, display: str, system: str, value: str) -> Json:
        return {"type": concept(HL7 + "v2-0203", code, display), "system": system, "value": value}

    social = f"999-{chance.randint(10, 99)}-{chance.randint(1000, 9999)}"
    licence = f"S999{chance.randint(10000, 99999)}"
    return [
        {"system": RECORDS, "value": ident},
        typed("MR", "Medical Record Number", "https://hospital.careloop.example/fhir/sid/mrn", ident),
        typed("SS", "Social Security Number", "http://hl7.org/fhir/sid/us-ssn", social),
        typed("DL", "Driver's License", "urn:oid:2.16.840.1.113883.4.3.25", licence),
    ]


def _contact(chance: Chance, who: Person) -> Json:
    other = person(chance)
    relationship = concept(HL7 + "v2-0131", "C", "Emergency Contact")
    name = {"family": who.family, "given": [other.given]}
    return {"relationship": [relationship], "name": name, "telecom": [{"system": "phone", "value": phone(chance)}]}


def _extensions(chance: Chance, who: Person) -> list[Json]:
    birthplace = address(chance)
    place = {"city": birthplace["city"], "state": birthplace["state"], "country": "US"}
    maiden = f"{chance.choice(FEMALE)} {chance.choice(FAMILY)}"
    return [
        _category("race", chance.weighted(RACES)),
        _category("ethnicity", chance.weighted(ETHNICITIES)),
        {"url": "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName", "valueString": maiden},
        {"url": CORE + "birthsex", "valueCode": who.gender[0].upper()},
        {"url": "http://hl7.org/fhir/StructureDefinition/patient-birthPlace", "valueAddress": place},
    ]


def patient(chance: Chance, who: Person, ident: str, ended: str | None) -> Json:
    """The Patient resource's elements. `ended` is when the person died."""
    language = chance.weighted(LANGUAGES)
    married = chance.weighted(MARITAL)
    lived: dict[str, Any] = {"deceasedDateTime": ended} if ended else {}
    return {
        "text": narrative(
            f"<p>{who.name}, born {who.birth.year}.</p><p>Made by a program: nobody of this name is meant.</p>"
        ),
        "extension": _extensions(chance, who),
        "identifier": _identifiers(chance, ident),
        "name": [{"use": "official", "family": who.family, "given": [who.given, who.middle]}],
        "telecom": [{"system": "phone", "value": phone(chance), "use": "home"}],
        "gender": who.gender,
        "birthDate": who.birth.isoformat(),
        **lived,
        "address": [located(chance, address(chance))],
        "maritalStatus": concept(HL7 + "v3-MaritalStatus", married.code, married.display),
        "multipleBirthBoolean": chance.often(0.02),
        "contact": [_contact(chance, who)],
        "communication": [{"language": concept("urn:ietf:bcp:47", language.code, language.display)}],
    }
