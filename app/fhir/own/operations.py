"""The operations that are this server's own: one table that reads their requests and publishes their definitions.

`parameters.py` reads a Parameters resource by it, `definitions.py` makes the OperationDefinitions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.fhir.own import dialects

RECIPIENTS = ("Organization", "HealthcareService", "PractitionerRole")
STRATEGIES = ("single", "parallel", "sequential")
PRIORITIES = ("routine", "urgent", "asap", "stat")
GRADES = ("certain", "probable", "possible")
RESOLUTIONS = ("dismiss", "apply")
CONFLICTS = ("illegal", "unmatched", "unmatched-patient", "unknown-source")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `type` is an R4 type; `max` a number or `*`; `targets` are the types of a Reference.

    `codes` are all values that a code may have; `parts` what a parameter without a value of its own consists of.
    """

    name: str
    type: str
    text: str
    min: int = 0
    max: str = "1"
    targets: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()
    parts: tuple[Parameter, ...] = ()

    @property
    def repeats(self) -> bool:
        return self.max == "*"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation on instances of a resource type, and on the type itself where `type_level`."""

    resource: str
    code: str
    name: str
    title: str
    text: str
    inputs: tuple[Parameter, ...]
    outputs: tuple[Parameter, ...]
    affects_state: bool = True
    type_level: bool = False

    @property
    def id(self) -> str:
        return f"{self.resource}-{self.code}"


_BUNDLE = Parameter("return", "Bundle", "A collection of the Tasks, with an OperationOutcome if there are warnings.", 1)

_REFER = (
    Parameter("recipient", "Reference", "Who is asked to act; each becomes the owner of a Task.", 1, "*", RECIPIENTS),
    Parameter(
        "strategy",
        "code",
        "single (the default) asks one recipient; parallel asks all at once, and the first that accepts is selected; "
        "sequential asks one after the other until one accepts.",
        codes=STRATEGIES,
    ),
    Parameter(
        "endpoint",
        "Reference",
        "Where the referral is sent, instead of an Endpoint of the recipient's own.",
        targets=("Endpoint",),
    ),
    Parameter("priority", "code", "How soon; that of the order unless it is given, else routine.", codes=PRIORITIES),
    Parameter("period", "Period", "When it is to be done; its end is the due date."),
    Parameter("input", "Reference", "What the recipient needs besides the order; becomes Task.input.", max="*"),
    Parameter("consent", "Reference", "The consent to share; is carried along as Task.input.", targets=("Consent",)),
    Parameter("overrideDuplicate", "boolean", "Refer although the same has been asked for; needs a reason."),
    Parameter("overrideReason", "string", "Why it is no duplicate; recorded in the Provenance and the order."),
    Parameter("note", "string", "A message for the recipient; becomes Task.note."),
    Parameter("dryRun", "boolean", "Only tell what would be made, and whether it would be refused."),
)

_ATTEMPT = (
    Parameter("number", "integer", "Its number among the attempts of the delivery, from 1.", 1),
    Parameter("time", "instant", "When it began.", 1),
    Parameter("milliseconds", "integer", "How long it took.", 1),
    Parameter("endpoint", "Reference", "Where it went.", targets=("Endpoint",)),
    Parameter("dialect", "code", "In which dialect.", codes=dialects.DIALECTS),
    Parameter("outcome", "code", "How it ended: delivered, or what went wrong.", 1),
    Parameter("httpStatus", "integer", "The status of the answer, where there was one."),
    Parameter("detail", "string", "What an operator should know. It never holds data of a person."),
    Parameter("nextTry", "instant", "When it was to be tried again."),
)
_DELIVERY = (
    Parameter("message", "uri", "The identifier of the message, the same in all attempts.", 1),
    Parameter("kind", "code", "What it does.", 1, codes=("submit", "cancel", "abort", "fetch")),
    Parameter("state", "code", "Where it is.", 1, codes=("pending", "delivered", "dead", "manual", "dropped")),
    Parameter("endpoint", "Reference", "Where it goes; absent without an electronic address.", targets=("Endpoint",)),
    Parameter("dialect", "code", "In which dialect; absent until it is known.", codes=dialects.DIALECTS),
    Parameter("urgent", "boolean", "Whether it is given up after hours rather than days.", 1),
    Parameter("inDoubt", "boolean", "Whether an attempt may have arrived although nobody knows.", 1),
    Parameter("attempts", "integer", "How often it was tried since it was ordered, or last ordered anew.", 1),
    Parameter("created", "instant", "When it was ordered.", 1),
    Parameter("nextTry", "instant", "When it is tried next, while it is pending."),
    Parameter("giveUp", "instant", "When it is given up, while it is pending."),
    Parameter("settled", "instant", "When it ended."),
    Parameter("remote", "url", "What the receiver made of it."),
    Parameter("outcome", "code", "How the last attempt ended."),
    Parameter("attempt", "", "One attempt.", max="*", parts=_ATTEMPT),
)
_DELIVERIES = (
    Parameter("task", "Reference", "The Task that is told of.", 1, targets=("Task",)),
    Parameter("delivery", "", "One message, the oldest first.", max="*", parts=_DELIVERY),
)

_CONFLICT = (
    Parameter("id", "string", "By which it is settled.", 1),
    Parameter("kind", "code", "What is the matter.", 1, codes=CONFLICTS),
    Parameter("code", "code", "Why, in one word."),
    Parameter("remote", "url", "What came from where."),
    Parameter("at", "instant", "When it came.", 1),
    Parameter("content", "Resource", "What came, when anything did."),
)

EVERYTHING = Operation(
    "EpisodeOfCare",
    "everything",
    "EpisodeOfCareEverything",
    "Everything of a case",
    "Returns a case as one searchset: the episode of care, its patient, team, care manager and organization, the "
    "referral requests, the encounters of the episode, everything else that refers to it (with the extension "
    "workflow-episodeOfCare or otherwise), what these refer to, and the Tasks that are about them. Another patient's "
    "record is never a part of it. Pages follow one another by their next links.",
    (
        Parameter("_since", "instant", "Only resources that were updated at this time or later."),
        Parameter("_type", "code", "Only resources of these types; several may be joined by commas.", max="*"),
        Parameter("_count", "integer", "How many resources a page may hold."),
    ),
    (Parameter("return", "Bundle", "One page.", 1),),
    affects_state=False,
)
REFER = Operation(
    "ServiceRequest",
    "refer",
    "ServiceRequestRefer",
    "Refer a client",
    "Sends an order to its recipients: the order becomes active, each recipient gets a Task, and what has to be "
    "delivered is written in the same transaction. Workers deliver it later, so that what fails at a recipient shows "
    "on the Task and never here. With the header Idempotency-Key the same request gets the first answer for 24 hours.",
    _REFER,
    (_BUNDLE,),
)
CHECK_DUPLICATE = Operation(
    "ServiceRequest",
    "check-duplicate",
    "ServiceRequestCheckDuplicate",
    "Find duplicates of an order",
    "Returns what has been asked for already for the same client, as a searchset: entry.search has a score, a grade "
    "(the extension match-grade) and the reasons.",
    (
        Parameter("resource", "ServiceRequest", "The order, where it is not stored; on the type only."),
        Parameter("recipient", "Reference", "Who would be asked, besides its performer.", max="*", targets=RECIPIENTS),
        Parameter("window", "unsignedInt", "For how many days a completed order counts; 30 unless it is given."),
        Parameter("threshold", "code", "The least grade to be told; possible unless it is given.", codes=GRADES),
    ),
    (Parameter("return", "Bundle", "The duplicates, the likeliest first.", 1),),
    affects_state=False,
    type_level=True,
)
DELIVERY = Operation(
    "Task",
    "delivery",
    "TaskDelivery",
    "What became of the delivery of a referral",
    "Returns every message about a Task with every attempt to deliver it: when, where, how it ended, and when it is "
    "tried next.",
    (),
    _DELIVERIES,
    affects_state=False,
)
REDELIVER = Operation(
    "Task",
    "redeliver",
    "TaskRedeliver",
    "Deliver a referral again",
    "Tries again to deliver what is dead, waits for a person, or was never acknowledged, with a new time limit. A "
    "message that may have arrived stays the same message, so that it is never doubled.",
    (
        Parameter("endpoint", "Reference", "Another place to send it to.", targets=("Endpoint",)),
        Parameter("dialect", "code", "Another dialect to send it in.", codes=dialects.DIALECTS),
    ),
    _DELIVERIES,
)
FORWARD = Operation(
    "Task",
    "forward",
    "TaskForward",
    "Pass a received referral on",
    "Refers what was received to others: makes an order with the intent filler-order that is based on the received "
    "one, and Tasks that are part of the received Task, which becomes in-progress if it was only requested. With the "
    "header Idempotency-Key the same request gets the first answer for 24 hours.",
    _REFER,
    (_BUNDLE,),
)

RESOLVE = Operation(
    "Task",
    "resolve",
    "TaskResolve",
    "Settle what came from elsewhere and could not be taken",
    "Lets a person decide what the rules cannot: who the patient of a received referral is, or what becomes of an "
    "answer that was kept as a conflict. Without parameters nothing changes. The answer tells what still waits for a "
    "decision.",
    (
        Parameter("patient", "Reference", "Who the unmatched patient is on this server.", targets=("Patient",)),
        Parameter(
            "copyIdentifiers",
            "boolean",
            "Also add the sender's identifiers to the patient, so that the next referral is matched.",
        ),
        Parameter("conflict", "string", "The id of a conflict of the Task: the number that the work-list tells."),
        Parameter(
            "action",
            "code",
            "dismiss leaves the Task as it is; apply takes the recipient's word, or tries again to fetch. Goes with a "
            "conflict.",
            codes=RESOLUTIONS,
        ),
        Parameter("reason", "string", "Why; recorded in the Provenance."),
    ),
    (
        Parameter("task", "Reference", "The Task that is told of.", 1, targets=("Task",)),
        Parameter("conflict", "", "What still waits, the oldest first.", max="*", parts=_CONFLICT),
    ),
)

OPERATIONS: Mapping[str, Operation] = {
    each.id: each for each in (EVERYTHING, REFER, CHECK_DUPLICATE, DELIVERY, REDELIVER, FORWARD, RESOLVE)
}
"""The operations of this server's own, by the id of their OperationDefinition."""
