"""What a check of a value says: nothing when all is well, otherwise findings with a location relative to that value."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from app.errors import Issue

# A report of more than this many problems helps nobody, and would let one request fill the memory.
MOST = 1000


class Finding(NamedTuple):
    """One problem. `at` leads from the value to the place, `.name[0].family`; each level puts a part in front."""

    code: str
    text: str
    at: str = ""
    severity: str = "error"

    def below(self, step: str) -> Finding:
        return self._replace(at=step + self.at)

    def issue(self, root: str) -> Issue:
        return Issue(self.code, self.text, root + self.at, self.severity)


Outcome = Sequence[Finding] | None
Check = Callable[[Any, Any], Outcome]

# The answer of a check of a URI that is right but of interest to the whole resource: `urn:uuid:…`, `urn:oid:…`, `#id`.
# The container reacts to it, because only the container knows where the value stands.
NOTE: Outcome = (Finding("informational", "A URI that names a resource."),)

NULL = (Finding("structure", "null is not allowed here."),)
NOT_OBJECT = (Finding("structure", "An object is expected here."),)
NOT_ARRAY = (Finding("structure", "An array is expected here: the element may repeat."),)
EMPTY_ARRAY = (Finding("structure", "An array must not be empty."),)
EMPTY_OBJECT = (Finding("structure", "An object must not be empty."),)

_is_plain_name = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,63}").fullmatch


def step(name: str) -> str:
    """The part of a location for a property. A name that no element could have may hold anything, so it is not told."""
    return f".{name}" if _is_plain_name(name) else ""


def has_error(outcome: Outcome) -> bool:
    """Whether the value is wrong. With warnings alone it is right enough for invariants to judge by it."""
    return outcome is not None and any(finding.severity == "error" for finding in outcome)


def below(outcome: Sequence[Finding], place: str) -> list[Finding]:
    return [finding.below(place) for finding in outcome[:MOST]]
