"""What each interaction is, for readers of the API: one row of a table, from which all its paths are described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.fhir.types import Interaction

BUNDLE, OUTCOME, PARAMETERS, CAPABILITIES = "Bundle", "OperationOutcome", "Parameters", "CapabilityStatement"
TYPE = "{type}"
"""Stands for the resource type of the path."""
PATCH = "patch"
"""Stands for the two kinds of patch."""
ANYTHING = "anything"
"""Stands for a body that may be wrong, which is to be found out."""


@dataclass(frozen=True, slots=True)
class Described:
    """`{type}` in a text stands for the resource type of the path.

    `answers` are the schemas of what comes back by status (none: no body); a second schema comes with `Prefer`. `body`
    is the schema of what is sent. `sends` and `shows` name an example of either, where the schema's own will not do.
    `headers` are those of requests, `told` those of answers, `query` the parameters besides search parameters.
    """

    name: str
    summary: str
    text: str
    answers: Mapping[int, tuple[str, ...]]
    body: str | None = None
    sends: str | None = None
    shows: str | None = None
    headers: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    query: tuple[str, ...] = ()


_VERSION = ("ETag", "Last-Modified")
_WRITTEN = ("ETag", "Last-Modified", "Location")
_ACTOR = "X-CareLoop-Actor"
_PARTS = ("_summary", "_elements")
_HISTORY = ("_since", "_at", "_count", "_cursor", *_PARTS)
_AS_STORED = (TYPE, OUTCOME)
_PATCHING = (
    "A JSON Patch (`application/json-patch+json`) or a FHIRPath Patch (a Parameters resource). What comes of it "
    "must be valid R4."
)


DESCRIBED: Mapping[Interaction, Described] = {
    Interaction.CAPABILITIES: Described(
        "capabilities",
        "What this server offers",
        "The CapabilityStatement: every resource type with its interactions, search parameters and operations.",
        {200: (CAPABILITIES,), 304: ()},
        headers=("If-None-Match",),
        told=("ETag", "Cache-Control"),
    ),
    Interaction.BUNDLE: Described(
        "postBundle",
        "Perform a batch or a transaction",
        "A `transaction` is stored as a whole or not at all; its entries may refer to each other by `fullUrl`. The "
        "entries of a `batch` succeed or fail one by one, each with its status in the answer.",
        {200: (BUNDLE,)},
        BUNDLE,
        sends="transaction",
        shows="transaction-response",
        headers=("Prefer", _ACTOR),
    ),
    Interaction.SEARCH_SYSTEM: Described(
        "searchSystem",
        "Search all resource types",
        "Takes the parameters that all types have; `_type` narrows the types, and then all that these share.",
        {200: (BUNDLE,)},
        headers=("Prefer",),
    ),
    Interaction.SEARCH_TYPE: Described(
        "search{type}",
        "Search {type} resources",
        "All parameters must hold; several values of one, joined by commas, are alternatives. A parameter that is "
        "given twice must hold twice. Modifiers (`:exact`, `:missing`, …), chains (`subject:Patient.name`) and `_has` "
        "are written into the name of the parameter. What is not understood is refused. (With `_explain=true` a search "
        "is answered with Parameters that tell how the database performs it.)",
        {200: (BUNDLE,)},
        headers=("Prefer",),
    ),
    Interaction.SEARCH_COMPARTMENT: Described(
        "search{type}Compartment",
        "Search what belongs to one {type}",
        "Resources of one type, or of all (`*`), in the compartment of this {type}. Takes the search parameters of "
        "that type too.",
        {200: (BUNDLE,)},
        headers=("Prefer",),
    ),
    Interaction.CREATE: Described(
        "create{type}",
        "Create a {type}",
        "The server gives it an id. With `If-None-Exist` nothing is made when the criteria match one {type} already: "
        "that is the answer, with 200.",
        {201: _AS_STORED, 200: _AS_STORED},
        TYPE,
        headers=("If-None-Exist", "Prefer", _ACTOR),
        told=_WRITTEN,
    ),
    Interaction.READ: Described(
        "read{type}",
        "Read a {type}",
        "Its present state. With `If-None-Match` or `If-Modified-Since` nothing is sent that is known already.",
        {200: (TYPE,), 304: ()},
        headers=("If-None-Match", "If-Modified-Since"),
        told=_VERSION,
        query=_PARTS,
    ),
    Interaction.VREAD: Described(
        "readVersionOf{type}",
        "Read a version of a {type}",
        "One version, as it was. A version that deleted the {type} is answered with 410.",
        {200: (TYPE,), 304: ()},
        headers=("If-None-Match", "If-Modified-Since"),
        told=_VERSION,
        query=_PARTS,
    ),
    Interaction.UPDATE: Described(
        "update{type}",
        "Store a {type} under its id",
        "Replaces the {type}, or creates it where there is none. `If-Match` refuses to overwrite what somebody else "
        "has changed; `If-None-Match: *` refuses to overwrite anything.",
        {200: _AS_STORED, 201: _AS_STORED},
        TYPE,
        headers=("If-Match", "If-None-Match", "Prefer", _ACTOR),
        told=_WRITTEN,
    ),
    Interaction.CONDITIONAL_UPDATE: Described(
        "update{type}ByCriteria",
        "Store the {type} that the criteria match",
        "The search parameters of the URL, at least one, say which {type} is meant: one match is replaced, several are "
        "refused with 412, and without any one is created.",
        {200: _AS_STORED, 201: _AS_STORED},
        TYPE,
        headers=("If-Match", "If-None-Match", "Prefer", _ACTOR),
        told=_WRITTEN,
    ),
    Interaction.PATCH: Described(
        "patch{type}",
        "Change parts of a {type}",
        _PATCHING,
        {200: _AS_STORED},
        PATCH,
        headers=("If-Match", "Prefer", _ACTOR),
        told=_WRITTEN,
    ),
    Interaction.CONDITIONAL_PATCH: Described(
        "patch{type}ByCriteria",
        "Change parts of the {type} that the criteria match",
        f"The search parameters of the URL must match exactly one {{type}}. {_PATCHING}",
        {200: _AS_STORED},
        PATCH,
        headers=("If-Match", "Prefer", _ACTOR),
        told=_WRITTEN,
    ),
    Interaction.DELETE: Described(
        "delete{type}",
        "Delete a {type}",
        "Its history stays. Refused with 409 while other resources refer to it; no error where there is none.",
        {204: (), 200: (OUTCOME,)},
        headers=("If-Match", "Prefer", _ACTOR),
        told=_VERSION,
    ),
    Interaction.CONDITIONAL_DELETE: Described(
        "delete{type}ByCriteria",
        "Delete the {type} that the criteria match",
        "The search parameters of the URL, at least one, say which {type} is meant: one match is deleted, several are "
        "refused with 412, none is no error.",
        {204: (), 200: (OUTCOME,)},
        headers=("If-Match", "Prefer", _ACTOR),
        told=_VERSION,
    ),
    Interaction.HISTORY_INSTANCE: Described(
        "historyOf{type}",
        "All versions of a {type}",
        "The newest first, deletions included.",
        {200: (BUNDLE,)},
        shows="history",
        query=_HISTORY,
    ),
    Interaction.HISTORY_TYPE: Described(
        "historyOfAll{type}",
        "All versions of all {type} resources",
        "The newest first, deletions included. With `_since` a client follows all changes: none is skipped that was "
        "committed late.",
        {200: (BUNDLE,)},
        shows="history",
        query=_HISTORY,
    ),
    Interaction.HISTORY_SYSTEM: Described(
        "historyOfSystem",
        "All versions of all resources",
        "The newest first, deletions included. With `_since` a client follows all changes: none is skipped that was "
        "committed late.",
        {200: (BUNDLE,)},
        shows="history",
        query=_HISTORY,
    ),
    Interaction.VALIDATE: Described(
        "validate{type}",
        "Check a {type} without storing it",
        "Every problem is named with its place; 200 also when there are problems, which is what was asked. The body is "
        "the resource, or Parameters with a parameter `resource`.",
        {200: (OUTCOME,)},
        ANYTHING,
        query=("mode",),
    ),
    Interaction.EVERYTHING: Described(
        "everythingOf{type}",
        "The whole record around a {type}",
        "The {type}, all that refers to it, and what these refer to, as a searchset with pages. A POST takes the "
        "parameters in a Parameters resource.",
        {200: (BUNDLE,)},
        PARAMETERS,
        sends="everything",
    ),
    Interaction.META: Described(
        "metaOf{type}",
        "The profiles, tags and security labels in use",
        "Those of one resource or version, of a type, or of the whole system. It takes no parameters.",
        {200: (PARAMETERS,)},
        PARAMETERS,
        sends="nothing",
        shows="meta-answer",
    ),
    Interaction.LASTN: Described(
        "last{type}s",
        "The last observations of each code",
        "Takes the search parameters of Observation, `patient` or `subject` among them; `max` is how many of each. A "
        "POST takes them in a Parameters resource.",
        {200: (BUNDLE,)},
        PARAMETERS,
        sends="lastn",
        headers=("Prefer",),
    ),
}
"""The operations of this server's own are described by `own/operations.py`, and below."""


@dataclass(frozen=True, slots=True)
class Own:
    """What OPERATIONS does not say of an operation: what it answers, and which headers it knows."""

    answers: Mapping[int, tuple[str, ...]]
    sends: str | None = None
    shows: str | None = None
    headers: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


_REFERRING = ("If-Match", "Idempotency-Key", "Prefer", _ACTOR)
_REFERRED = ("Location", "Idempotency-Replayed")

OWN: Mapping[Interaction, Own] = {
    Interaction.REFER: Own({201: (BUNDLE,), 200: (BUNDLE,)}, "refer", "collection", _REFERRING, _REFERRED),
    Interaction.FORWARD: Own({201: (BUNDLE,), 200: (BUNDLE,)}, "forward", "collection", _REFERRING, _REFERRED),
    Interaction.CHECK_DUPLICATE: Own({200: (BUNDLE,)}, "check-duplicate", headers=(_ACTOR,)),
    Interaction.DELIVERY: Own({200: (PARAMETERS,)}, "nothing", "delivery-answer"),
    Interaction.REDELIVER: Own({200: (PARAMETERS,)}, "redeliver", "delivery-answer", ("If-Match", _ACTOR)),
    Interaction.RESOLVE: Own({200: (PARAMETERS,)}, "resolve", "resolve-answer", ("If-Match", _ACTOR)),
}
