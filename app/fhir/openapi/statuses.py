"""The statuses of the API: what each means, and which ones a route can answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from app.errors import Problem
from app.fhir import outcomes
from app.fhir.routes import Route
from app.fhir.types import Interaction, Json

SUCCESSES: Mapping[int, str] = {
    200: "It is done.",
    201: "It is created.",
    204: "It is done; there is nothing to tell.",
    304: "It has not changed.",
}
ERRORS: Mapping[int, str] = {
    400: "The request cannot be understood, or the resource is not valid R4. Every problem is named, with its place.",
    403: "The caller may not do this: it is for the other side of the referral.",
    404: "There is nothing here.",
    406: "The answer cannot be given in the format that was asked for.",
    408: "The body did not arrive in time.",
    409: "It conflicts with what is stored: a reference leads nowhere, others refer to it, or the status does not "
    "allow this.",
    410: "It was deleted.",
    412: "A condition of the request does not hold: a version, or criteria that match several.",
    413: "The body is larger than this server accepts.",
    415: "The body has a content type that this server does not read.",
    422: "It is valid R4, but a rule forbids it.",
    500: "The server failed. Its log has more under the X-Request-Id.",
    503: "The database is not available, or overloaded. It is safe to try again.",
}

# What can go wrong besides what can go wrong with every request, with every body, and with every id.
_ERRORS_OF: Mapping[Interaction, tuple[int, ...]] = {
    Interaction.BUNDLE: (403, 404, 409, 410, 412, 422),
    Interaction.CREATE: (409, 412),
    Interaction.READ: (410,),
    Interaction.VREAD: (410,),
    Interaction.UPDATE: (409, 412, 422),
    Interaction.CONDITIONAL_UPDATE: (409, 412, 422),
    Interaction.PATCH: (409, 410, 412, 422),
    Interaction.CONDITIONAL_PATCH: (404, 409, 410, 412, 422),
    Interaction.DELETE: (409, 412),
    Interaction.CONDITIONAL_DELETE: (409, 412),
    Interaction.REFER: (403, 409, 410, 412, 422),
    Interaction.FORWARD: (403, 409, 410, 412, 422),
    Interaction.REDELIVER: (403, 409, 410, 412, 422),
    Interaction.RESOLVE: (403, 409, 410, 412, 422),
}
_READ_WHAT_IS_NAMED = frozenset(
    {Interaction.VALIDATE, Interaction.EVERYTHING, Interaction.META, Interaction.CHECK_DUPLICATE, Interaction.DELIVERY}
)
# The types whose changes are judged by the rules of referrals. An order that is new has not been referred yet.
_RULED: Mapping[str, frozenset[Interaction]] = {
    "Task": frozenset({i for i in Interaction if i in _ERRORS_OF and i not in (Interaction.READ, Interaction.VREAD)}),
    "ServiceRequest": frozenset(
        {
            Interaction.UPDATE,
            Interaction.CONDITIONAL_UPDATE,
            Interaction.PATCH,
            Interaction.CONDITIONAL_PATCH,
            Interaction.DELETE,
            Interaction.CONDITIONAL_DELETE,
        }
    ),
}
_DELETIONS = frozenset({Interaction.DELETE, Interaction.CONDITIONAL_DELETE})


def errors_of(route: Route, type_name: str) -> tuple[int, ...]:
    """The error statuses that this route can answer for a resource type, in order."""
    return tuple(sorted(set(_errors(route, type_name))))


def _errors(route: Route, type_name: str) -> Iterator[int]:
    yield from (400, 406, 500)
    yield from _ERRORS_OF.get(route.interaction, ())
    if route.method in ("POST", "PUT", "PATCH"):
        yield from (408, 413, 415)
    if "{id}" in route.template:
        yield 404
        if route.interaction in _READ_WHAT_IS_NAMED:
            yield 410
    if route.interaction in _RULED.get(type_name, ()):
        yield 403
        yield from () if route.interaction in _DELETIONS else (409, 422)
    if not _is_without_database(route):
        yield 503


def _is_without_database(route: Route) -> bool:
    checks_a_body = route.interaction is Interaction.VALIDATE and route.level == "type"
    return checks_a_body or route.interaction is Interaction.CAPABILITIES


def outcome_of(status: int) -> Json:
    """An OperationOutcome as it comes with an error status."""
    kinds = {kind.status: kind for kind in reversed(Problem.__subclasses__())}
    return outcomes.of_problem(kinds[status]())
