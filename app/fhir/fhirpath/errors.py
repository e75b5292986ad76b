"""What is raised when an expression cannot be used."""

from __future__ import annotations


class FhirPathError(ValueError):
    """The expression is not FHIRPath, or uses what is not offered here. Compiled functions never raise it."""
