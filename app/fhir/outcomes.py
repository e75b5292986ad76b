"""OperationOutcome: what went wrong, or that nothing did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from app.errors import Issue, Problem


def outcome(issues: Iterable[Issue]) -> dict[str, Any]:
    """One OperationOutcome with all the issues. R4 demands at least one: without any, it says that all is well."""
    found = [_issue(issue) for issue in issues]
    return {"resourceType": "OperationOutcome", "issue": found} if found else all_ok("No issues were found.")


def of_problem(problem: Problem) -> dict[str, Any]:
    return outcome(problem.issues)


def all_ok(text: str) -> dict[str, Any]:
    return outcome([Issue("informational", text, severity="information")])


def _issue(issue: Issue) -> dict[str, Any]:
    made: dict[str, Any] = {"severity": issue.severity, "code": issue.code}
    if issue.details:
        system, code = issue.details
        made["details"] = {"coding": [{"system": system, "code": code}]}
    if issue.diagnostics:
        made["diagnostics"] = issue.diagnostics
    if issue.expression:
        made["expression"] = [issue.expression]
    return made
