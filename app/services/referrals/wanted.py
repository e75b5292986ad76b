"""What a request to refer asks for: its parameters, read and checked before anything is looked up."""

from __future__ import annotations

from dataclasses import dataclass

from app.fhir.own.operations import Operation
from app.fhir.own.parameters import Given, Value, read_parameters
from app.fhir.types import FhirRequest, Json

SINGLE, PARALLEL, SEQUENTIAL = "single", "parallel", "sequential"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The parameters of `$refer` and `$forward`. References stay as they were sent, each with its place."""

    recipients: tuple[Value, ...]
    strategy: str
    endpoint: Value | None
    priority: str | None
    period: Json | None
    inputs: tuple[Value, ...]
    consent: Value | None
    override: bool
    reason: str | None
    note: str | None
    dry_run: bool


def read(request: FhirRequest, operation: Operation) -> Wanted:
    """Raises Malformed with every problem, or Invalid when the body is no JSON."""
    given = read_parameters(request, operation)
    _check_together(given)
    given.finish()
    return Wanted(
        recipients=tuple(given.all("recipient")),
        strategy=given.value("strategy", SINGLE),
        endpoint=given.first("endpoint"),
        priority=given.value("priority"),
        period=given.value("period"),
        inputs=tuple(given.all("input")),
        consent=given.first("consent"),
        override=given.value("overrideDuplicate", False),
        reason=given.value("overrideReason"),
        note=given.value("note"),
        dry_run=given.value("dryRun", False),
    )


def _check_together(given: Given) -> None:
    """What no parameter says alone."""
    recipients = [_text(value) for value in given.all("recipient")]
    if given.value("strategy", SINGLE) == SINGLE and len(recipients) > 1:
        given.refuse("The strategy single takes one recipient. Others are parallel and sequential.", "strategy")
    if len(set(recipients)) < len(recipients):
        given.refuse("The same recipient is given twice.", "recipient")
    override, reason = given.value("overrideDuplicate") is True, given.value("overrideReason")
    if override and not (isinstance(reason, str) and reason.strip()):
        given.refuse("To override duplicates, overrideReason must say why.", "overrideDuplicate", "required")
    if reason is not None and not override:
        given.refuse("An overrideReason goes with overrideDuplicate = true.", "overrideReason")


def _text(value: Value) -> str:
    return str(value.value.get("reference", "")) if isinstance(value.value, dict) else ""
