"""The safety flag: a referrer may prohibit contact with the client, who could be harmed by it (SDOH Clinical Care)."""

from __future__ import annotations

from app.fhir.own import codes
from app.fhir.types import Json

PROHIBITED = "contacting-subject-prohibited"
WARNING = (
    "DO NOT CONTACT THE CLIENT. The referrer has prohibited it for the client's safety: contact the referrer instead."
)

_PEOPLE = frozenset({"Patient", "RelatedPerson"})
_CONTACTS = frozenset({"telecom", "address", "contact"})


def prohibits_contact(request: Json) -> bool:
    """Whether the ServiceRequest says that its subject must not be contacted."""
    return any(PROHIBITED in codes.codes_of(detail, codes.SDOHCC) for detail in request.get("orderDetail", ()))


def warnings(request: Json) -> list[Json]:
    """Annotations that say so to whoever reads a Task or a ServiceRequest."""
    return [{"text": WARNING}] if prohibits_contact(request) else []


def guarded(resource: Json, request: Json) -> Json:
    """The resource; the client, or somebody close, without ways to reach them where contact is prohibited."""
    if resource["resourceType"] not in _PEOPLE or not prohibits_contact(request):
        return resource
    return {name: value for name, value in resource.items() if name not in _CONTACTS}
