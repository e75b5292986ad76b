"""A write on its way: what a request wants, what was found for it, and what will be stored.

Every write interaction is two functions over a `Write`. `prepare_*` is pure: it reads and validates the request.
`decide` (in `conditional.py`) looks up what the write depends on, inside the transaction that will store it.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import Issue, Malformed
from app.fhir.preferences import NO_VERSION, etags
from app.fhir.search.query import Query
from app.fhir.types import FhirRequest, Json
from app.fhir.validation import Checked
from app.store.resources import Stored
from app.store.save_function import ANY, LIVE

# A version that no resource has: what an entity tag that this server never gave must not match.
_IMPOSSIBLE = 2**31 - 1


@dataclass(slots=True)
class Write:
    """One resource to be written.

    `id` is blank until it is known. `criteria` is set for conditional interactions. `match` is what they found.
    `settled` is True when nothing is to be written after all, and `match` (or its absence) is the answer.
    `named` are the elements that a patch says anything of, None for content that says all of the resource.
    `location` is where the resource stands in a bundle; `template` the body as it was stored.
    """

    request: FhirRequest
    type: str
    id: str
    method: str
    expect: int = ANY
    versions: tuple[int, ...] = ()
    resource: Json | None = None
    checked: Checked | None = None
    named: frozenset[str] | None = None
    criteria: Query | None = None
    match: Stored | None = None
    settled: bool = False
    deletes: bool = False
    location: str | None = None
    template: bytes | None = None

    @property
    def depends(self) -> bool:
        """Whether it must look something up before it can be stored."""
        return self.criteria is not None or bool(self.versions) or bool(self.request.patch)


def expected(request: FhirRequest) -> tuple[int, tuple[int, ...]]:
    """If-Match as what the save function expects, and the list of versions where it names several."""
    header = request.headers.get("if-match")
    if header is None:
        return ANY, ()
    tags = etags(header)
    if tags == "*":
        return LIVE, ()
    versions = tuple(_IMPOSSIBLE if tag == NO_VERSION else tag for tag in tags)
    return (versions[0], ()) if len(versions) == 1 else (ANY, versions)


def resource_of(request: FhirRequest, type_name: str) -> Json:
    """The body as a resource of the type that the URL names. Raises Malformed."""
    body = request.content()
    if not isinstance(body, dict):
        raise Malformed(issues=[Issue("structure", "The body must be one FHIR resource.")])
    if body.get("resourceType") != type_name:
        raise Malformed(issues=[Issue("invalid", "The body is not a resource of the type in the URL.", "resourceType")])
    return body
