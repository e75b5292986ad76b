"""Compartments: what belongs to one patient, encounter, practitioner, related person or device.

https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

from dataclasses import dataclass

from app.fhir.definitions import compartments, resource_types
from app.fhir.search.parameters import parameter
from app.fhir.search.query import InCompartment

EVERY_MEMBER = "*"
_CENTRE = "{def}"


@dataclass(frozen=True, slots=True)
class Compartment:
    """The compartment around one resource, its centre."""

    type: str
    id: str


def member_types(centre: str) -> tuple[str, ...]:
    """The types of which resources may be in a compartment around this type; none when R4 defines no such compartment.

    The centre itself is always a part of it.
    """
    members = compartments().get(centre)
    return tuple(sorted({*members, centre})) if members else ()


def searched(type_name: str, id_: str, member: str) -> tuple[tuple[str, ...], Compartment | None]:
    """The types that a search at `type/id/member` is about, and the compartment; each part of the path may be blank."""
    if not type_name:
        return resource_types(), None
    if not member:
        return (type_name,), None
    return member_types(type_name) if member == EVERY_MEMBER else (member,), Compartment(type_name, id_)


def in_compartment(around: Compartment, types: tuple[str, ...]) -> InCompartment:
    """The condition that a resource of one of these types is in the compartment: by any parameter of its definition."""
    members = compartments()[around.type]
    codes = [(name, code) for name in types for code in members.get(name, ()) if code != _CENTRE]
    found = [parameter(name, code) for name, code in codes]
    return InCompartment(around.type, around.id, tuple(filter(None, found)), around.type in types)
