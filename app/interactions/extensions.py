"""What services add to the engine at start-up: operations, named queries, and rules of the one write path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.fhir.types import FhirRequest, FhirResult, Interaction, Json
from app.store.connections import Connection

if TYPE_CHECKING:
    from app.interactions.context import Context


@dataclass(frozen=True, slots=True)
class Step:
    """One resource that changes: from `before`, which is stored, to `after`, which is to be.

    `before` is None where nothing living is stored, `after` for a deletion. Both have their id; `after` has no version.
    `named` are the elements that whoever changes it speaks of, None where that is all of them.
    """

    type: str
    id: str
    before: Json | None
    after: Json | None
    named: frozenset[str] | None = None


Handler = Callable[["Context", FhirRequest], Awaitable[FhirResult]]

Rule = Callable[["Context", Connection, Step], Awaitable[None]]
"""Raises Problem when the step may not be taken. It runs in the step's transaction, before anything is stored."""

Effect = Callable[["Context", Connection, Step], Awaitable[None]]
"""Does what follows from a step, in its transaction, after it is stored. Resources change through `commit.store`."""

Complete = Callable[["Context", Json, Json], Json]
"""What is to be (second) with what only the server wrote on the stored resource (first) since the caller read it."""

Key = Callable[[Json], str]
"""What steps have in common that must not be taken at the same time: the referral that a Task belongs to."""


@dataclass(slots=True)
class Governed:
    """How one resource type is governed: `key` serialises steps, `rules` refuse them, `effects` follow them.

    `complete` is asked before the rules, for content that replaces a resource without naming the version that was read.
    """

    key: Key
    complete: Complete | None = None
    rules: list[Rule] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Extensions:
    """`queries` are named queries (`_query`) by resource type and name."""

    operations: dict[Interaction, Handler] = field(default_factory=dict)
    queries: dict[tuple[str, str], Handler] = field(default_factory=dict)
    governed: dict[str, Governed] = field(default_factory=dict)
