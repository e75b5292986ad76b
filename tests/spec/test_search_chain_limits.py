"""What a chain may be, and what is refused. https://hl7.org/fhir/R4/search.html#chaining"""

from __future__ import annotations

import pytest

from tests.spec.api import Fhir, Json, problem, reference, unique


def organization(**elements: Json | str) -> Json:
    return {"resourceType": "Organization", "name": "Clinic", **elements}


REFUSED: list[tuple[str, str, str]] = [
    ("Observation", "subject.nonsense=x", "not-supported"),
    ("Observation", "nonsense.name=x", "not-supported"),
    ("Observation", "code.name=x", "invalid"),
    ("Observation", "subject:Organization.name=x", "invalid"),
    ("Observation", "subject:Nonsense.name=x", "invalid"),
    ("Observation", "subject:.name=x", "invalid"),
    ("Observation", "subject:missing.name=x", "invalid"),
    ("Observation", "subject.=x", "not-supported"),
    ("Observation", ".name=x", "not-supported"),
    ("Observation", "subject:Patient.name:nonsense=x", "invalid"),
    ("Observation", "subject:Patient.birthdate:exact=2000", "invalid"),
    ("Observation", "subject:Patient.birthdate=secret", "invalid"),
    ("Observation", "subject.birthdate=xx2000", "invalid"),
    ("Organization", ".".join(["partof"] * 9) + ".name=x", "too-costly"),
    ("Bundle", "composition.title=x", "not-supported"),
    ("Bundle", "message.event=x", "not-supported"),
]


@pytest.mark.parametrize(("kind", "query", "code"), REFUSED)
async def test_refused_chains(fhir: Fhir, kind: str, query: str, code: str):
    """#errors: what cannot be read is refused, and no value is repeated."""
    (issue,) = problem(await fhir.get(f"{kind}?{query}"), 400, code=code)
    assert "secret" not in issue["diagnostics"]


async def test_the_longest_chain(fhir: Fhir):
    """A chain may follow eight references."""
    made = await fhir.created(organization(name=unique("Root")))
    root = made
    for _ in range(8):
        made = await fhir.created(organization(partOf=reference(made)))
    name = ".".join(["partof"] * 8) + ".name"
    assert await fhir.found(f"Organization?{name}={root['name']}") == [made["id"]]
