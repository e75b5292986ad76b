"""Why a question about concepts has no answer here. A text may name canonical URLs: they are no data of persons."""

from __future__ import annotations

from app.errors import Issue, Malformed


def missing(text: str) -> Malformed:
    """A definition, or a concept in one, that is not stored here."""
    return Malformed(issues=[Issue("not-found", text)])


def unsupported(text: str) -> Malformed:
    """A definition from which the answer cannot be told."""
    return Malformed(issues=[Issue("not-supported", text)])


def too_costly(text: str) -> Malformed:
    return Malformed(issues=[Issue("too-costly", text)])
