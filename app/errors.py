"""The one error tree. Each class knows its HTTP status and its FHIR issue code.

    Problem
    ├── Invalid               400  not JSON, or not R4
    ├── Malformed             400  a request that cannot be understood: a parameter, a header, a bundle
    ├── Forbidden             403
    ├── NotFound              404
    │   └── UnknownType       404  not a resource type of R4
    ├── NotAllowed            405
    ├── NotAcceptable         406
    ├── TookTooLong           408  the body did not arrive in time
    ├── Conflict              409  referential integrity, or another request was first
    ├── Gone                  410
    ├── PreconditionFailed    412
    ├── TooLarge              413
    ├── UnsupportedMediaType  415
    ├── Unprocessable         422  understood, but against a business rule or a profile
    ├── TooManyRequests       429
    ├── ServerFault           500
    └── Unavailable           503  the database cannot be reached, or is overloaded; safe to retry

No message may hold data of a person: say what is wrong with an element, never what it holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Issue:
    """One entry of an OperationOutcome. `expression` is the FHIRPath location, such as `Patient.name[0].family`.

    `details` is what a program can tell the case by, as system and code, where FHIR's own code says too little.
    """

    code: str
    diagnostics: str
    expression: str | None = None
    severity: str = "error"
    details: tuple[str, str] | None = None

    def under(self, prefix: str) -> Issue:
        """The same issue, for a resource that stands at `prefix` in a bundle."""
        if self.expression is None:
            return replace(self, expression=prefix)
        return replace(self, expression=f"{prefix}.{self.expression.partition('.')[2]}".rstrip("."))


class Problem(Exception):
    """Something that ends a request. Raised anywhere, turned into an OperationOutcome in one place."""

    status = 500
    code = "exception"

    def __init__(
        self, diagnostics: str = "", *, issues: Sequence[Issue] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(diagnostics)
        self.issues = tuple(issues) or (Issue(self.code, diagnostics or (type(self).__doc__ or "")),)
        self.headers = dict(headers or {})


class Invalid(Problem):
    """The content is not JSON, or not valid FHIR R4."""

    status, code = 400, "invalid"


class Malformed(Problem):
    """The request cannot be understood."""

    status, code = 400, "invalid"


class Forbidden(Problem):
    """The caller may not do this."""

    status, code = 403, "forbidden"


class NotFound(Problem):
    """There is no such resource."""

    status, code = 404, "not-found"


class UnknownType(NotFound):
    """R4 has no such resource type."""

    code = "not-supported"


class NotAllowed(Problem):
    """This interaction is not offered here."""

    status, code = 405, "not-supported"


class NotAcceptable(Problem):
    """The answer cannot be given in the format asked for."""

    status, code = 406, "not-supported"


class TookTooLong(Problem):
    """The body did not arrive in time."""

    status, code = 408, "timeout"


class Conflict(Problem):
    """The request conflicts with what is stored."""

    status, code = 409, "conflict"


class Gone(Problem):
    """The resource was deleted."""

    status, code = 410, "deleted"


class PreconditionFailed(Problem):
    """A condition of the request does not hold."""

    status, code = 412, "conflict"


class TooLarge(Problem):
    """The request is larger than this server accepts."""

    status, code = 413, "too-long"


class UnsupportedMediaType(Problem):
    """The body has a content type that this server does not read."""

    status, code = 415, "not-supported"


class Unprocessable(Problem):
    """The content is valid R4 but breaks a rule."""

    status, code = 422, "processing"


class TooManyRequests(Problem):
    """Too many requests."""

    status, code = 429, "throttled"


class ServerFault(Problem):
    """The server failed. The request identifier leads operators to the reason."""


class Unavailable(Problem):
    """The database is not available. Try again."""

    status, code = 503, "transient"
