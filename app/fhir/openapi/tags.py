"""The parts of the work, under which readers find the resource types."""

from __future__ import annotations

from collections.abc import Mapping

TAGS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "clients": (
        "The people in care, and their cases: who they are, who is with them, what they agreed to.",
        ("Patient", "RelatedPerson", "EpisodeOfCare", "CareTeam", "Consent"),
    ),
    "assess": (
        "What clients need and what they can build on.",
        ("Questionnaire", "QuestionnaireResponse", "Observation", "Condition"),
    ),
    "plan": ("Goals, and the services that are to reach them.", ("CarePlan", "Goal", "PlanDefinition")),
    "refer": (
        "Orders, the Tasks that carry them to recipients, and who the recipients are.",
        (
            "ServiceRequest",
            "Task",
            "Organization",
            "HealthcareService",
            "Practitioner",
            "PractitionerRole",
            "Location",
            "Endpoint",
        ),
    ),
    "monitor": (
        "What happens: visits, services, messages, and who did what.",
        (
            "Communication",
            "Appointment",
            "Encounter",
            "Procedure",
            "DocumentReference",
            "Provenance",
            "AuditEvent",
        ),
    ),
    "system": ("All resources together, what this server offers, and types that are described when asked for.", ()),
}
"""By name: what it is about, and its resource types."""

SYSTEM = "system"

CASE_MANAGEMENT = tuple(name for _, names in TAGS.values() for name in names)
"""The types that the document describes unless others are asked for."""


def tag_of(type_name: str) -> str:
    return next((tag for tag, (_, names) in TAGS.items() if type_name in names), SYSTEM)
