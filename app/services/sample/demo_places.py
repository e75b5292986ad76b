"""The demonstration's organisations, their services and addresses, and the people who work there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from fhir.resources.R4B.address import Address
from fhir.resources.R4B.coding import Coding
from fhir.resources.R4B.endpoint import Endpoint
from fhir.resources.R4B.healthcareservice import HealthcareService
from fhir.resources.R4B.humanname import HumanName
from fhir.resources.R4B.identifier import Identifier
from fhir.resources.R4B.location import Location
from fhir.resources.R4B.organization import Organization
from fhir.resources.R4B.practitioner import Practitioner
from fhir.resources.R4B.practitionerrole import PractitionerRole
from fhir.resources.R4B.resource import Resource

from app.services.sample.shapes import HL7, NPI, SNOMED
from app.services.sample.typed import SDOH, coded, hl7, marked, phone_and_mail, ref


class Place(NamedTuple):
    """An organisation with one location and one service. `endpoint` is where its own system takes referrals."""

    key: str
    name: str
    kind: tuple[str, str]
    service: str
    category: tuple[str, str, str]
    street: str
    phone: str
    endpoint: str | None


PLACES = (
    Place(
        "harbor-case-management",
        "Harbor Case Management",
        ("other", "Other"),
        "Case management",
        (SNOMED, "410401003", "Social case management"),
        "12 Beacon Street",
        "555-210-1000",
        None,
    ),
    Place(
        "eastside-food-bank",
        "Eastside Food Bank",
        ("cg", "Community Group"),
        "Food pantry and home delivery",
        (SDOH, "food-insecurity", "Food Insecurity"),
        "88 Market Street",
        "555-210-2000",
        "https://fhir.eastside-food.example/r4",
    ),
    Place(
        "safe-door-housing",
        "Safe Door Housing",
        ("cg", "Community Group"),
        "Housing search and rent support",
        (SDOH, "housing-instability", "Housing Instability"),
        "301 Canal Street",
        "555-210-3000",
        "https://fhir.safe-door.example/r4",
    ),
    Place(
        "bayview-hospital",
        "Bayview General Hospital",
        ("prov", "Healthcare Provider"),
        "Discharge planning",
        (SNOMED, "58000006", "Patient discharge"),
        "1 Harbor Way",
        "555-210-4000",
        "https://fhir.bayview.example/r4",
    ),
    Place(
        "cedar-clinic",
        "Cedar Street Clinic",
        ("prov", "Healthcare Provider"),
        "Primary care and behavioral health",
        (SNOMED, "390906007", "Follow-up encounter"),
        "45 Cedar Street",
        "555-210-5000",
        None,
    ),
)

# key, family, given, place, taxonomy code, its words, NPI
WORKERS = (
    ("dana-whitfield", "Whitfield", "Dana", 0, "171M00000X", "Case Manager/Care Coordinator", "9999990019"),
    ("omar-haddad", "Haddad", "Omar", 3, "1041C0700X", "Clinical Social Worker", "9999990027"),
    ("grace-okafor", "Okafor", "Grace", 4, "207Q00000X", "Family Medicine", "9999990035"),
)
CASE_MANAGER = ("PractitionerRole/dana-whitfield", "Dana Whitfield")
ORGANIZATION = f"Organization/{PLACES[0].key}"


def places() -> Iterator[Resource]:
    for place in PLACES:
        if place.endpoint:
            yield _endpoint(place, place.endpoint)
        yield _organization(place)
        yield _location(place)
        yield _service(place)


def workers() -> Iterator[Resource]:
    for key, family, given, place, taxonomy, words, npi in WORKERS:
        yield Practitioner(
            id=key,
            identifier=[Identifier(system=NPI, value=npi)],
            active=True,
            name=[HumanName(family=family, given=[given])],
            telecom=phone_and_mail(PLACES[place].phone, f"{key}@careloop.example"),
        )
        yield _role(key, f"{given} {family}", PLACES[place], taxonomy, words)


def _address(place: Place) -> Address:
    return Address(line=[place.street], city="Springfield", state="MA", postalCode="01103", country="US")


def _endpoint(place: Place, url: str) -> Endpoint:
    return Endpoint(
        id=place.key,
        identifier=marked(place.key),
        status="active",
        connectionType=Coding(system=HL7 + "endpoint-connection-type", code="hl7-fhir-rest"),
        name=f"{place.name}: referrals",
        payloadType=[hl7("endpoint-payload-type", "any", "Any")],
        payloadMimeType=["application/fhir+json"],
        address=url,
    )


def _endpoints(place: Place) -> dict[str, object]:
    return {"endpoint": [ref(f"Endpoint/{place.key}")]} if place.endpoint else {}


def _organization(place: Place) -> Organization:
    return Organization(
        id=place.key,
        identifier=marked(place.key),
        active=True,
        type=[hl7("organization-type", *place.kind)],
        name=place.name,
        telecom=phone_and_mail(place.phone, f"intake@{place.key}.example"),
        address=[_address(place)],
        **_endpoints(place),
    )


def _location(place: Place) -> Location:
    return Location(
        id=place.key,
        identifier=marked(place.key),
        status="active",
        name=place.name,
        mode="instance",
        address=_address(place),
        managingOrganization=ref(f"Organization/{place.key}", place.name),
    )


def _service(place: Place) -> HealthcareService:
    return HealthcareService(
        id=place.key,
        identifier=marked(place.key),
        active=True,
        providedBy=ref(f"Organization/{place.key}", place.name),
        category=[coded(*place.category)],
        location=[ref(f"Location/{place.key}")],
        name=place.service,
        telecom=phone_and_mail(place.phone, f"intake@{place.key}.example"),
        **_endpoints(place),
    )


def _role(key: str, name: str, place: Place, taxonomy: str, words: str) -> PractitionerRole:
    return PractitionerRole(
        id=key,
        active=True,
        practitioner=ref(f"Practitioner/{key}", name),
        organization=ref(f"Organization/{place.key}", place.name),
        code=[coded("http://nucc.org/provider-taxonomy", taxonomy, words)],
        location=[ref(f"Location/{place.key}")],
        healthcareService=[ref(f"HealthcareService/{place.key}", place.service)],
    )
