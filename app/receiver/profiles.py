"""What kinds of system the stand-in can be: one table, from which follow what it takes and what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.fhir.bundles import instant
from app.fhir.own import dialects
from app.fhir.search.parameters import Kind, parameters
from app.fhir.types import Interaction, Json

GRAVITY = "http://hl7.org/fhir/us/sdoh-clinicalcare"

_READ = frozenset({Interaction.READ, Interaction.VREAD, Interaction.SEARCH_TYPE})
_CHANGE = _READ | {Interaction.UPDATE, Interaction.PATCH}
_ALL = _CHANGE | {Interaction.CREATE}
_MAKE = _READ | {Interaction.CREATE}
_RESULTS = {"Procedure": _READ, "Observation": _READ}
Offer = frozenset[Interaction]


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of system. `types` are the interactions it offers on each resource type.

    `dialects` are those whose messages it takes; the first is the one that a probe should choose. `conditional`: it
    heeds If-None-Exist. `guides` and `supported` are what it claims to conform to. `reserved` are the types of which it
    says neither that they are created conditionally nor that they are found by identifier, so that whoever asks sends
    a transaction, within which it does both.
    """

    about: str
    dialects: tuple[str, ...]
    types: Mapping[str, Offer] = field(default_factory=dict)
    transaction: bool = False
    conditional: bool = True
    matches: bool = False
    reserved: frozenset[str] = frozenset()
    guides: tuple[str, ...] = ()
    supported: Mapping[str, str] = field(default_factory=dict)

    def offers(self, interaction: Interaction, type_name: str) -> bool:
        if interaction is Interaction.BUNDLE:
            return self.transaction
        return interaction in self.types.get(type_name, ())


_GRAVITY_TASK = {"Task": f"{GRAVITY}/StructureDefinition/SDOHCC-TaskForReferralManagement"}

PROFILES: Mapping[str, Profile] = {
    "gravity": Profile(
        "a referral recipient of SDOH Clinical Care: it takes Tasks, and reads the rest from the sender",
        (dialects.GRAVITY_TASK,),
        {"Task": _ALL, "Patient": _READ, **_RESULTS},
        guides=(f"{GRAVITY}/ImplementationGuide/hl7.fhir.us.sdoh-clinicalcare",),
        supported=_GRAVITY_TASK,
    ),
    "transaction": Profile(
        "a system that takes a referral with everything in it, as one transaction",
        (dialects.FHIR_TRANSACTION,),
        {"Task": _ALL, "ServiceRequest": _CHANGE, "Patient": _READ, **_RESULTS},
        transaction=True,
        reserved=frozenset({"Task"}),
    ),
    "servicerequest": Profile(
        "a system that takes orders and knows no Tasks",
        (dialects.SERVICE_REQUEST,),
        {"ServiceRequest": _ALL, "Patient": _MAKE, **_RESULTS},
        matches=True,
    ),
    "ehr": Profile(
        "an EHR that files documents and messages under patients that it knows",
        (dialects.EHR_DOCUMENT,),
        {"DocumentReference": _MAKE, "Communication": _MAKE, "Patient": _READ},
        conditional=False,
        matches=True,
    ),
    "light": Profile("people without a server, who work on the sender's API", (dialects.LIGHT, dialects.WEBHOOK)),
    "webhook": Profile("a system that is told by webhooks, and works on the sender's API", (dialects.WEBHOOK,)),
    "open": Profile(
        "a system that takes every dialect",
        (
            dialects.GRAVITY_TASK,
            dialects.FHIR_TRANSACTION,
            dialects.SERVICE_REQUEST,
            dialects.EHR_DOCUMENT,
            dialects.WEBHOOK,
        ),
        {
            "Task": _ALL,
            "ServiceRequest": _ALL,
            "Patient": _ALL,
            "DocumentReference": _ALL,
            "Communication": _ALL,
            "Procedure": _ALL,
            "Observation": _ALL,
        },
        transaction=True,
        matches=True,
        guides=(f"{GRAVITY}/ImplementationGuide/hl7.fhir.us.sdoh-clinicalcare",),
        supported=_GRAVITY_TASK,
    ),
}

_SEARCHABLE = frozenset({Kind.TOKEN, Kind.REFERENCE})


def capability_statement(name: str, base: str, started: datetime, *, secured: bool) -> Json:
    """What a system of this kind says of itself (R4 capabilitystatement.html)."""
    profile = PROFILES[name]
    rest: Json = {"mode": "server", "documentation": f"A stand-in: {profile.about}."}
    if secured:
        service = {"system": "http://terminology.hl7.org/CodeSystem/restful-security-service", "code": "SMART-on-FHIR"}
        rest["security"] = {"service": [{"coding": [service]}]}
    if profile.types:
        rest["resource"] = [_resource(profile, type_name, offer) for type_name, offer in profile.types.items()]
    if profile.transaction:
        rest["interaction"] = [{"code": "transaction"}]
    guides = {"implementationGuide": list(profile.guides)} if profile.guides else {}
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(started),
        "kind": "instance",
        "software": {"name": "CareLoop receiver"},
        "implementation": {"description": f"A stand-in EHR ({name})", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "patchFormat": ["application/json-patch+json"],
        **guides,
        "rest": [rest],
    }


def _resource(profile: Profile, type_name: str, offer: Offer) -> Json:
    reserved = type_name in profile.reserved
    made: Json = {"type": type_name}
    if type_name in profile.supported:
        made["supportedProfile"] = [profile.supported[type_name]]
    made["interaction"] = [{"code": code.value} for code in Interaction if code in offer]
    made |= {"versioning": "versioned-update", "readHistory": False, "updateCreate": False}
    made["conditionalCreate"] = profile.conditional and Interaction.CREATE in offer and not reserved
    made["searchParam"] = _search_parameters(type_name, {"identifier"} if reserved else set())
    if type_name == "Patient" and profile.matches:
        definition = "http://hl7.org/fhir/OperationDefinition/Patient-match"
        made["operation"] = [{"name": "match", "definition": definition}]
    return made


def _search_parameters(type_name: str, without: set[str]) -> Sequence[Json]:
    return [
        {"name": each.code, "definition": each.url, "type": each.kind.value}
        for each in parameters(type_name).values()
        if each.column in ("id", "last_updated") or (each.rows_of and each.kind in _SEARCHABLE and not each.stated)
        if each.code not in without
    ]


def endpoint(name: str, origin: str, sender: str) -> Json:
    """The Endpoint that the sender needs to refer to this system. Where FHIR is spoken the sender may find out how."""
    payload_types = "http://terminology.hl7.org/CodeSystem/endpoint-payload-type"
    first = PROFILES[name].dialects[0]
    code, address = _ADDRESSES.get(first, ("any", "{origin}/fhir"))
    stated = {"url": f"{sender}{dialects.EXTENSION}", "valueCode": first}
    return {
        "resourceType": "Endpoint",
        **({"extension": [stated]} if first in _ADDRESSES else {}),
        "status": "active",
        "connectionType": {
            "system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type",
            "code": "hl7-fhir-rest",
        },
        "name": f"Stand-in EHR ({name})",
        "payloadType": [{"coding": [{"system": payload_types, "code": code}]}],
        "address": address.format(origin=origin, sender=sender),
    }


_ADDRESSES = {dialects.LIGHT: ("any", "{sender}"), dialects.WEBHOOK: ("none", "{origin}/webhook")}
"""By the dialects that nobody can find out: the code of the payload, and where messages go."""
