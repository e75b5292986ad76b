"""The extensions of this server's own: where each may stand and what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.fhir.types import Json

_BASE = "http://hl7.org/fhir/StructureDefinition/Extension"


@dataclass(frozen=True, slots=True)
class Extension:
    """`context` is the element that may carry it; `type` that of its value, blank for one that has `parts`.

    `min` and `max` say how often a part stands in the whole; `codes` names the CodeSystem of a code.
    """

    name: str
    title: str
    text: str
    context: str = ""
    type: str = ""
    parts: tuple[Extension, ...] = ()
    min: int = 0
    max: str = "1"
    target: str = ""


_DELIVERY = (
    Extension("status", "Status", "delivered, failed, or manual: a person has to carry on.", type="code", min=1),
    Extension("dialect", "Dialect", "The dialect in which it was delivered.", type="code"),
    Extension("endpoint", "Endpoint", "Where it was delivered.", type="Reference", target="Endpoint"),
    Extension("at", "At", "When that was known.", type="instant", min=1),
    Extension("remote", "Remote", "What the receiver made of it: an absolute URL.", type="url"),
)
_REASON = (
    Extension("reason", "Reason", "Why, a code of the CodeSystem reason.", type="code", min=1),
    Extension("code", "Code", "More about it: a priority, how a delivery ended, what conflicts.", type="code"),
    Extension("since", "Since", "Since when.", type="instant", min=1),
    Extension("due", "Due", "By when it was, or is, to be done.", type="instant"),
    Extension("number", "Number", "The number of the delivery or of the conflict.", type="string"),
)

EXTENSIONS: Mapping[str, Extension] = {
    each.name: each
    for each in (
        Extension(
            "delivery-dialect",
            "Delivery dialect",
            "The shape in which an endpoint takes referrals, a code of the CodeSystem delivery-dialect.",
            "Endpoint",
            "code",
        ),
        Extension(
            "delivery-endpoint",
            "Delivery endpoint",
            "Where a referral is sent. A Task without it has no electronic way to its recipient.",
            "Task",
            "Reference",
            target="Endpoint",
        ),
        Extension(
            "referral-strategy",
            "Referral strategy",
            "parallel: all recipients are asked at once, and the first that accepts is selected. sequential: one after "
            "the other is asked until one accepts.",
            "Task",
            "code",
        ),
        Extension(
            "referral-position",
            "Position in a sequence",
            "Whose turn it is, from 1, among the Tasks of one sequential referral.",
            "Task",
            "integer",
        ),
        Extension(
            "referral-group",
            "Group of a referral",
            "What the Tasks of one $refer with several recipients have in common. groupIdentifier may be that of an "
            "order that was referred more than once.",
            "Task",
            "uri",
        ),
        Extension(
            "participates-by-referral",
            "Participates by referral",
            "The member joined by accepting a referral, and leaves when none of theirs is under way.",
            "CareTeam.participant",
            "boolean",
        ),
        Extension(
            "task-delivery",
            "Delivery of a referral",
            "How the delivery of a referral ended. Every attempt is told by the operation $delivery.",
            "Task",
            parts=_DELIVERY,
        ),
        Extension(
            "worklist-reason",
            "Reason to be on the work-list",
            "Why a Task needs somebody's attention.",
            "Bundle.entry.search",
            parts=_REASON,
        ),
        Extension(
            "duplicate-reason",
            "Reason to be a duplicate",
            "What an order has in common with another, a code of the CodeSystem duplicate-reason.",
            "Bundle.entry.search",
            "code",
        ),
    )
}


def definition(extension: Extension, url: str) -> Json:
    """Its StructureDefinition, under its canonical URL."""
    return {
        "resourceType": "StructureDefinition",
        "id": extension.name,
        "url": url,
        "name": "".join(word.capitalize() for word in extension.name.split("-")),
        "title": extension.title,
        "status": "active",
        "description": extension.text,
        "fhirVersion": "4.0.1",
        "kind": "complex-type",
        "abstract": False,
        "context": [{"type": "element", "expression": extension.context}],
        "type": "Extension",
        "baseDefinition": _BASE,
        "derivation": "constraint",
        "differential": {
            "element": [
                {"id": "Extension", "path": "Extension", "short": extension.title, "definition": extension.text},
                *_elements(extension, "Extension", url),
            ]
        },
    }


def _elements(extension: Extension, prefix: str, url: str) -> list[Json]:
    """The differential below an extension: its parts, its url, and its value."""
    made: list[Json] = [element for part in extension.parts for element in _part(part, prefix)]
    if not extension.parts:
        made.append({"id": f"{prefix}.extension", "path": "Extension.extension", "max": "0"} | _path(prefix))
    made.append({"id": f"{prefix}.url", "path": "Extension.url", "fixedUri": url} | _path(prefix, "url"))
    value: Json = {"id": f"{prefix}.value[x]", "path": "Extension.value[x]"} | _path(prefix, "value[x]")
    made.append(value | ({"max": "0"} if extension.parts else {"min": 1, "type": [_type(extension)]}))
    return made


def _part(part: Extension, prefix: str) -> list[Json]:
    id_ = f"{prefix}.extension:{part.name}"
    head = {"id": id_, "path": "Extension.extension", "sliceName": part.name, "short": part.title}
    return [
        head | {"definition": part.text, "min": part.min, "max": part.max},
        *_elements(part, id_, part.name),
    ]


def _path(prefix: str, last: str = "extension") -> Json:
    """The path of an element below an extension, or below one of its parts."""
    return {"path": f"Extension.extension.{last}" if ":" in prefix else f"Extension.{last}"}


def _type(extension: Extension) -> Json:
    made: Json = {"code": extension.type}
    if extension.target:
        made["targetProfile"] = [f"http://hl7.org/fhir/StructureDefinition/{extension.target}"]
    return made
