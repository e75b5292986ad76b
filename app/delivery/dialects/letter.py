"""The referral as a letter: plain text, which every record system shows, and in which nothing can be hidden."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from app.delivery.dialects import texts
from app.delivery.dialects.base import Package
from app.delivery.dialects.copies import is_current, is_secret, key_of
from app.delivery.dialects.safety import PROHIBITED, WARNING, prohibits_contact
from app.delivery.dialects.tasks import reason
from app.fhir.own import codes
from app.fhir.types import Json

TITLES = {"submit": "Referral", "cancel": "Referral withdrawn", "abort": "Request to stop a referral"}

Section = tuple[str, list[str]]


def letter(package: Package) -> str:
    """What the message says, to be read by people. Headings stand at the margin, all content is indented."""
    warning = [WARNING, ""] if prohibits_contact(package.request) else []
    lines = [TITLES[package.kind].upper(), "", *warning]
    for heading, content in _sections(package):
        if told := [f"  {line}" for text in content for line in _lines(text)]:
            lines += [heading, *told, ""]
    return "\n".join(lines).rstrip() + "\n"


def notice(package: Package) -> str:
    """A few words that make somebody read the letter."""
    warning = [WARNING] if prohibits_contact(package.request) else []
    service = texts.concept(package.request.get("code"))
    about = f"{TITLES[package.kind]}: {service}." if service else f"{TITLES[package.kind]}."
    answer = "; ".join(_answer_to(package))
    asks = {
        "submit": "Please read the referral note in the chart and answer whether you accept it.",
        "cancel": "Please disregard the referral note in the chart.",
        "abort": "Please stop the work on this referral and confirm it.",
    }
    ending = f"Answer to: {answer}." if answer else ""
    return " ".join(
        part for part in (*warning, about, asks[package.kind], ending, f"Reference: {_mark(package)}") if part
    )


def _sections(package: Package) -> Iterator[Section]:
    request, task = package.request, package.task
    if package.kind != "submit":
        yield "Reason", [_reason(package)]
    yield "Client", _client(package)
    yield "Service asked for", [texts.concept(request.get("code")), *map(texts.concept, request.get("category", ()))]
    yield "Details", [texts.concept(detail) for detail in request.get("orderDetail", ()) if not _is_flag(detail)]
    yield "Need", [*map(texts.concept, request.get("reasonCode", ())), *_named(package, request, "reasonReference")]
    yield (
        "Further information",
        [
            *_named(package, request, "supportingInfo"),
            *(text for one in task.get("input", ()) if (text := _name(package, one.get("valueReference")))),
        ],
    )
    yield "Priority", [task.get("priority") or request.get("priority") or "routine"]
    when = task.get("restriction", {}).get("period") or request.get("occurrencePeriod")
    yield "When", [texts.period(when), request.get("occurrenceDateTime", "")[:10]]
    yield "Referred to", [_name(package, task.get("owner"))]
    yield "Referred by", _requesters(package)
    yield "Answer to", _answer_to(package)
    yield "Notes", [note["text"] for one in (request, task) for note in one.get("note", ()) if "text" in note]
    yield "Reference", [_mark(package)]


def _reason(package: Package) -> str:
    """Why a referral ends. The Task that asks for an end says it as the reason for itself."""
    asked = texts.concept(package.task.get("reasonCode")) if package.kind == "abort" else ""
    return asked or str(reason(package)["text"])


def _client(package: Package) -> list[str]:
    client = package.resources.get(key_of(package.request.get("subject"), package.base_url), {})
    numbers = [f"{one['value']} ({one['system']})" for one in client.get("identifier", ()) if _is_number(one)]
    facts = [
        texts.resource_name(client) or _name(package, package.request.get("subject")),
        f"born {client['birthDate']}" if "birthDate" in client else "",
        client.get("gender", ""),
        *(f"identifier {number}" for number in numbers),
        *(f"speaks {texts.concept(one.get('language'))}" for one in client.get("communication", ())),
    ]
    if not prohibits_contact(package.request):
        facts += [*texts.addresses(client.get("address", ())), *texts.contacts(client.get("telecom", ()))]
    return facts


def _requesters(package: Package) -> list[str]:
    references = (package.task.get("requester"), package.request.get("requester"))
    return list(dict.fromkeys(text for one in references if (text := _name(package, one))))


def _answer_to(package: Package) -> list[str]:
    """How to reach the referrer: the Task's requester, else that of the order."""
    for reference in (package.task.get("requester"), package.request.get("requester")):
        resource = package.resources.get(key_of(reference, package.base_url), {})
        if reached := texts.contacts(resource.get("telecom", ())):
            return reached
    return []


def _named(package: Package, resource: Json, element: str) -> Iterable[str]:
    return [text for one in resource.get(element, ()) if (text := _name(package, one))]


def _name(package: Package, reference: Json | None) -> str:
    return texts.named(reference, package.resources, package.base_url)


def _mark(package: Package) -> str:
    """By what the referrer finds the referral again."""
    return package.placer[1]


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _is_number(identifier: Json) -> bool:
    return "value" in identifier and "system" in identifier and is_current(identifier) and not is_secret(identifier)


def _is_flag(detail: Json) -> bool:
    return PROHIBITED in codes.codes_of(detail, codes.SDOHCC)
