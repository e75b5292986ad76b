"""What a recipient's Task has as outputs: where each is, whether it may be copied, and whose record it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from app.fhir.definitions import resource_types
from app.fhir.own.codes import URI
from app.fhir.references import local
from app.fhir.types import Json
from app.services.inbound.foreign import absolute, below, is_absolute, subject_name

MOST = 200
"""So many outputs of one Task are taken; a person looks at one that has more."""

COPIED = frozenset(
    name
    for name in resource_types()
    if subject_name(name) is not None and name not in ("Consent", "Coverage", "Account", "Group")
)
"""Only what is about a patient, and no consent, is copied because another server says so: an Endpoint, for one, would
open a door, and a Consent would be a permission."""

MISSING = "output-missing"
UNAVAILABLE = "output-unavailable"
ELSEWHERE = "output-elsewhere"
UNSUITABLE = "output-unsuitable"
OF_ANOTHER = "output-of-another-patient"
TOO_MANY = "too-many-outputs"


class Disagreement(Exception):
    """An answer that cannot be taken as it is. `code` says why, in one word."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Result:
    """A reference among the outputs: the Reference itself, and the URL of what it names."""

    reference: Json
    url: str
    contained: Json | None = None


def results(task: Json, source: str, base: str) -> Iterator[Result]:
    """The literal references among the outputs of a Task whose own URL is `source`, on a server with that base."""
    contained = {one["id"]: one for one in task.get("contained", ()) if isinstance(one.get("id"), str)}
    for output in task.get("output", ()):
        reference = output.get("valueReference") or {}
        text = reference.get("reference")
        if text is None:
            continue
        if text.startswith("#"):
            yield Result(reference, source + text, contained.get(text[1:]))
        else:
            yield Result(reference, absolute(text, base))


def known_results(task: Json) -> dict[str, str]:
    """What is here of the outputs of our Task, by the URLs under which they are known elsewhere."""
    return {
        reference["identifier"]["value"]: reference["reference"]
        for output in task.get("output", ())
        if (reference := output.get("valueReference") or {}).get("reference")
        and reference.get("identifier", {}).get("system") == URI
        and "value" in reference["identifier"]
    }


def wanted(ours: Json, told: Json, source: str, base: str) -> list[str]:
    """The URLs of the outputs that have to be fetched before an answer can be applied.

    `told` need not be valid R4: whoever applies it finds that out.
    """
    known = known_results(ours)
    try:
        urls = [result.url for result in results(told, source, base) if result.contained is None]
    except (AttributeError, TypeError, KeyError):
        return []
    suitable = (url for url in urls if (name := below(url, base)) and name.partition("/")[0] in COPIED)
    return list(dict.fromkeys(url for url in suitable if url not in known))[:MOST]


def to_copy(
    ours: Json, told: Json, fetched: Mapping[str, Json], *, source: str, base: str, base_url: str, forced: bool
) -> dict[str, Json]:
    """The outputs of a valid Task that are to be copied, by URL; all others may stay as they are. Raises Disagreement.

    With `forced`, a person has decided: what cannot be copied stays a reference to where it is.
    """
    found = list(results(told, source, base))
    if len(found) > MOST:
        raise Disagreement(TOO_MANY)
    known = known_results(ours)
    copies: dict[str, Json] = {}
    for result in found:
        if result.url in known or local(result.url, base_url) is not None:
            continue
        resource = result.contained or fetched.get(result.url)
        if resource is None:
            _refuse_unread(result.url, base, forced=forced)
        elif resource["resourceType"] not in COPIED:
            raise Disagreement(UNSUITABLE)
        else:
            _check_subject(resource, ours, told, base=base, base_url=base_url)
            copies[result.url] = resource
    return copies


def _refuse_unread(url: str, base: str, *, forced: bool) -> None:
    name = below(url, base)
    if not is_absolute(url):
        raise Disagreement(UNSUITABLE)
    if not forced:
        raise Disagreement(ELSEWHERE if name is None else UNAVAILABLE)


def _check_subject(resource: Json, ours: Json, told: Json, *, base: str, base_url: str) -> None:
    """A result must be of the patient whom the referral is for, as far as anybody here can tell."""
    name = subject_name(resource["resourceType"]) or ""
    subject = (resource.get(name) or {}).get("reference")
    if not isinstance(subject, str):
        return
    there = absolute(subject, base)
    here, for_there = patient(ours), (told.get("for") or {}).get("reference")
    own = local(there, base_url)
    if own is not None and f"{own.type}/{own.id}" != here:
        raise Disagreement(OF_ANOTHER)
    if own is None and isinstance(for_there, str):
        theirs = absolute(for_there, base)
        if local(theirs, base_url) is None and theirs != there:
            raise Disagreement(OF_ANOTHER)


def patient(ours: Json) -> str:
    """Whom our Task is for, as it names them, without a version."""
    return str((ours.get("for") or {}).get("reference", "")).partition("/_history/")[0]
