"""FHIRPath (http://hl7.org/fhirpath/N1) with the additions of FHIR R4, compiled to Python functions.

Whatever the definitions settle is settled when compiling: which JSON property holds an element, whether it repeats, and
which branches of a union can never match. An element that a type does not have is empty.
Compiled functions never raise; content that is not valid R4 has no answer.
Not offered: now(), today(), timeOfDay(), aggregate(), dates in arithmetic, and what needs a terminology server.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Protocol

from app.fhir.fhirpath.compiler import build, path_source, predicate
from app.fhir.fhirpath.errors import FhirPathError
from app.fhir.fhirpath.parser import parse

__all__ = ["FhirPathError", "Node", "Path", "Predicate", "compile_path", "compile_predicate"]

Node = tuple[str, Any]
"""A FHIR type name, or the path of a backbone element such as `Observation.component`, and a JSON value."""


class Path(Protocol):
    """The nodes of a path; `resource` is `%resource` when `item` is only a part of it."""

    def __call__(self, item: Any, resource: Any = None, /) -> list[Node]: ...


class Predicate(Protocol):
    """Whether an expression holds for a value; None when it is empty, as FHIRPath's logic of three values has it."""

    def __call__(self, value: Any, resource: Any, root_resource: Any, /) -> bool | None: ...


@lru_cache(maxsize=8192)
def compile_path(expression: str, context: str) -> Path:
    """The function that lists what `expression` leads to from a `context`: a type, or a path such as `Patient.contact`.

    Branches of a union that start at another resource type yield nothing; duplicates between branches are kept.
    Elements without a value (extensions only) yield nothing. Raises FhirPathError.
    """
    path: Path = build(lambda: path_source(expression, context))
    return path


@lru_cache(maxsize=2048)
def compile_predicate(expression: str, context: str) -> Predicate:
    """The function that decides `expression` for a value at `context`. Raises FhirPathError."""
    return predicate(parse(expression), context)
