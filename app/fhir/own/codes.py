"""The codes, identifiers and extensions of this server's own, under its base URL. HL7's are named where they are used.

R4 leaves open how a referral is correlated, delivered and refused; the names here are published with the server's
CodeSystems and are the same in every language, table and test.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from app.fhir.types import Json

TASK_CODE = "http://hl7.org/fhir/CodeSystem/task-code"
IDENTIFIER_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"
SDOHCC = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
URI = "urn:ietf:rfc:3986"

PLACER, FILLER = "PLAC", "FILL"
"""Codes of IDENTIFIER_TYPE: the identifier that the requester gave, and the one that the recipient gave."""


class StatusReason(StrEnum):
    """Why a Task was rejected, cancelled, held or failed, where nobody else has a code for it."""

    NOT_ELIGIBLE = "not-eligible"
    OUT_OF_SERVICE_AREA = "out-of-service-area"
    SERVICE_NOT_OFFERED = "service-not-offered"
    MISSING_INFORMATION = "missing-information"
    MISSING_DOCUMENTATION = "missing-documentation"
    UNABLE_TO_CONTACT = "unable-to-contact"
    CLIENT_DECLINED = "client-declined"
    NO_LONGER_NEEDED = "no-longer-needed"
    REFERRED_ELSEWHERE = "referred-elsewhere"
    DUPLICATE = "duplicate"
    PATIENT_NOT_MATCHED = "patient-not-matched"
    CONSENT_MISSING = "consent-missing"
    NOT_SELECTED = "not-selected"
    ALTERNATIVE_PROPOSED = "alternative-proposed"
    SAFETY_CONCERN = "safety-concern"
    DELIVERY_FAILED = "delivery-failed"
    NO_RESPONSE = "no-response"
    NO_PROVIDER_AVAILABLE = "no-provider-available"
    ORDER_REVOKED = "order-revoked"


class BusinessStatus(StrEnum):
    """What `Task.businessStatus` says beyond the status."""

    DELIVERED = "delivered"
    DELIVERY_FAILED = "delivery-failed"
    SELECTED = "selected"
    RE_REFERRING = "re-referring"
    AWAITING_INFORMATION = "awaiting-information"


class TaskCode(StrEnum):
    """Kinds of Tasks that R4's task-code does not know."""

    GOAL_REVIEW = "goal-review"
    CONTACT_RECIPIENT = "contact-recipient"
    UNMATCHED_ANSWER = "unmatched-answer"


class Reason(StrEnum):
    """Why a Task is on the work-list."""

    UNACKNOWLEDGED = "unacknowledged"
    DELIVERY_DEAD = "delivery-dead"
    NO_UPDATE = "no-update"
    OVERDUE = "overdue"
    NEEDS_REREFER = "needs-rerefer"
    COMPLETED_NO_OUTPUT = "completed-no-output"
    READY_TO_COMPLETE = "ready-to-complete"
    UNMATCHED_PATIENT = "unmatched-patient"
    INBOUND_CONFLICT = "inbound-conflict"


class Refusal(StrEnum):
    """Why an operation was refused, or what it warns of: `OperationOutcome.issue.details`."""

    SERVICEREQUEST_NOT_ACTIVE = "servicerequest-not-active"
    INTENT_NOT_ACTIONABLE = "intent-not-actionable"
    SUBJECT_INACTIVE = "subject-inactive"
    RECIPIENT_NOT_FOUND = "recipient-not-found"
    RECIPIENT_INACTIVE = "recipient-inactive"
    REFERENCE_NOT_FOUND = "reference-not-found"
    TASK_ALREADY_OPEN = "task-already-open"
    POSSIBLE_DUPLICATE = "possible-duplicate"
    NO_CAPACITY = "no-capacity"
    NO_ENDPOINT = "no-endpoint"
    NO_REQUESTER = "no-requester"
    ENDPOINT_UNUSABLE = "endpoint-unusable"
    ENDPOINT_OF_ANOTHER = "endpoint-of-another"
    UNSUPPORTED_DIALECT = "unsupported-dialect"
    NOT_REQUESTER = "not-requester"
    NOT_OWNER = "not-owner"
    NOT_A_REFERRAL = "not-a-referral"
    NOT_FORWARDABLE = "not-forwardable"
    NOTHING_TO_REDELIVER = "nothing-to-redeliver"
    NOTHING_TO_RESOLVE = "nothing-to-resolve"
    NOT_APPLICABLE = "not-applicable"
    ALREADY_ACKNOWLEDGED = "already-acknowledged"
    ATTEMPT_UNDER_WAY = "attempt-under-way"
    TASK_CLOSED = "task-closed"
    VERSION_MISMATCH = "version-mismatch"
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused"
    ILLEGAL_TRANSITION = "illegal-transition"
    WRONG_ACTOR = "wrong-actor"
    NOT_DELETABLE = "not-deletable"
    REASON_MISSING = "reason-missing"
    OUTPUT_MISSING = "output-missing"
    OWNER_MISSING = "owner-missing"
    IMMUTABLE_ELEMENT = "immutable-element"
    TASKS_OPEN = "tasks-open"
    ALREADY_CLAIMED = "already-claimed"
    ANOTHER_SELECTED = "another-selected"


class DuplicateReason(StrEnum):
    """What two requests have in common that makes one a duplicate of the other."""

    SAME_IDENTIFIER = "same-identifier"
    SAME_CODE = "same-code"
    SAME_CATEGORY = "same-category"
    SAME_PERFORMER = "same-performer"
    OTHER_PERFORMER = "other-performer"
    RECENTLY_COMPLETED = "recently-completed"
    ENROLLED = "enrolled"


def system(base_url: str, kind: type[StrEnum]) -> str:
    """The CodeSystem of one of the kinds above: `{base}/CodeSystem/status-reason`."""
    return f"{base_url}/CodeSystem/{_name(kind)}"


def concept(base_url: str, code: StrEnum, text: str | None = None) -> Json:
    """A CodeableConcept of one of the codes above. `text` is for people; without one the code in words."""
    coding = {"system": system(base_url, type(code)), "code": code.value}
    return {"coding": [coding], "text": text or code.value.replace("-", " ").capitalize()}


def _name(kind: type[StrEnum]) -> str:
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in kind.__name__).lstrip("-")


def codes_of(found: Json | None, system_url: str) -> set[str]:
    """The codes of a CodeableConcept that are of one system."""
    codings: Iterable[Json] = (found or {}).get("coding", ())
    return {coding["code"] for coding in codings if coding.get("system") == system_url and "code" in coding}


def task_identifier(base_url: str) -> str:
    """The system of the identifiers that Tasks get as a placer's; their values are UUIDs."""
    return f"{base_url}/identifier/task"


def extension(base_url: str, name: str) -> str:
    """The URL of an extension of this server's own, such as `delivery-dialect` or `worklist-reason`."""
    return f"{base_url}/StructureDefinition/{name}"
