"""Where R4 says otherwise than schemathesis expects. It is loaded by its command line (`schemathesis.toml`)."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import schemathesis
from schemathesis import Case, Response
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.core.parameters import ParameterLocation
from schemathesis.openapi.checks import UseAfterFree


@schemathesis.hook
def filter_failure(context: schemathesis.HookContext, failure: Failure, case: Case, response: Response) -> bool:
    """Whether it counts."""
    if isinstance(failure, AcceptedNegativeData):
        return not _only_lacks_values(case, response)
    return not (isinstance(failure, UseAfterFree) and "/_history" in case.path)  # R4 http.html#delete: versions stay


def _only_lacks_values(case: Case, response: Response) -> bool:
    """A parameter without a value counts as absent (R4 search.html): where that is all, nothing wrong was taken."""
    wrong = dict.fromkeys(_wrong(case))
    sent = parse_qs(urlsplit(response.request.url).query, keep_blank_values=True)
    return bool(wrong) and all(
        place is ParameterLocation.QUERY and name is not None and not any(sent.get(name, ())) for place, name in wrong
    )


def _wrong(case: Case) -> Iterator[tuple[ParameterLocation | None, str | None]]:
    """Where and in which parameter the request was made wrong; the name is None where it is in no parameter."""
    if case.meta is not None:
        data = case.meta.phase.data
        made = [(mutation.parameter_location, mutation.parameter) for mutation in data.mutations]
        yield from made or [(data.parameter_location, data.parameter)]
