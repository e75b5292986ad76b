"""What belongs to the record of a patient, or to a case: sets of rids, gathered in a few steps.

Each step reads `resource`, so that nothing is reached through what is deleted or not there for the caller. What another
patient's record holds stays out, even when something refers to it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from app.fhir.search.dates import MAX, MIN
from app.fhir.search.query import Record
from app.fhir.search.records import care_dates, membership, row_ids
from app.store.numbers import TYPE_ID
from app.store.search.scope import Scope

# What is part of a case because the case names it: who is on the team, what was asked of whom.
_PARTS = ("CareTeam", "ServiceRequest")
# What Tasks are for.
_ASKED = ("CarePlan", "Goal", "ServiceRequest", "Task")
_TASK_FOR = (("Task", "based-on"), ("Task", "focus"), ("Task", "part-of"))

Gathered = tuple[str, str]
"""The selection of all rids, and before it the name of that set within in which documents are looked for."""


def record(scope: Scope, wanted: Record) -> str:
    """The condition that a resource is of a record."""
    centre = (
        f"(SELECT t.rid FROM resource AS t WHERE t.type_id = {scope.bind(TYPE_ID[wanted.type])}::smallint "
        f"AND t.id = {scope.bind(wanted.id)})"
    )
    dated = _dated(scope, wanted)
    sources, rids = _GATHER[wanted.type](scope, centre, dated)
    attached = _attached(scope, sources, wanted.base_url)
    return f"r.rid IN ({rids} UNION {attached}){dated}"


def _dated(scope: Scope, wanted: Record) -> str:
    """That care was given in the time between, as far as there is a date that says when."""
    if wanted.start is None and wanted.end is None:
        return ""
    start = scope.bind(MIN if wanted.start is None else wanted.start)
    end = scope.bind(MAX if wanted.end is None else wanted.end)
    spans = (
        f"(SELECT min(i.lo) < {end} AND max(i.hi) > {start} FROM index_date AS i "
        f"WHERE i.rid = r.rid AND i.param_id = {_any(scope, params)})"
        for params in care_dates()
    )
    return f" AND coalesce({', '.join(spans)}, true)"


def _patient(scope: Scope, centre: str, dated: str) -> Gathered:
    """The compartment of a patient, and what its members refer to."""
    rids = (
        f"SELECT {centre} UNION SELECT i.rid FROM index_reference AS i "
        f"WHERE i.target_rid = {centre} AND i.param_id = {_any(scope, membership('Patient'))}"
    )
    members = _living(scope, rids) + dated
    referred = _referred(scope, "members", centre, without=("Patient",))
    return "members", f"WITH members AS MATERIALIZED ({members}) SELECT rid FROM members UNION {referred}"


def _case(scope: Scope, centre: str, _: str) -> Gathered:
    """A case, what names it and what is part of it; what these refer to; the Tasks for all that, and for whom they are.

    Another case is another record, also when an encounter belongs to both; and who looked at a case is no part of it.
    """
    patient = (
        f"(SELECT i.target_rid FROM index_reference AS i WHERE i.rid = {centre} "
        f"AND i.param_id = {_any(scope, row_ids(('EpisodeOfCare', 'patient')))} LIMIT 1)"
    )
    own = (
        f"SELECT {centre} UNION SELECT i.rid FROM index_reference AS i WHERE i.target_rid = {centre} "
        "UNION SELECT p.rid FROM index_reference AS i JOIN resource AS p ON p.rid = i.target_rid "
        f"WHERE i.rid = {centre} AND p.type_id = {_types(scope, _PARTS)}"
    )
    tasks = (
        "SELECT DISTINCT i.rid FROM plan AS p JOIN index_reference AS i ON i.target_rid = p.rid "
        f"WHERE p.type_id = {_types(scope, _ASKED)} AND i.param_id = {_any(scope, row_ids(*_TASK_FOR))}"
    )
    apart = ("Patient", "EpisodeOfCare")
    steps = {
        "own": f"{_living(scope, own)} AND r.type_id <> {scope.bind(TYPE_ID['AuditEvent'])}",
        "plan": _living(scope, f"SELECT rid FROM own UNION {_referred(scope, 'own', patient, without=apart)}"),
        "tasks": _living(scope, tasks),
    }
    named = ", ".join(f"{name} AS MATERIALIZED ({step})" for name, step in steps.items())
    return "plan", (
        f"WITH {named} SELECT {patient} UNION SELECT rid FROM plan UNION SELECT rid FROM tasks "
        f"UNION {_referred(scope, 'tasks', patient, without=apart)}"
    )


def _living(scope: Scope, rids: str) -> str:
    """Those of the rids that are there for the caller."""
    return (
        f"SELECT r.rid, r.type_id FROM ({rids}) AS m(rid) JOIN resource AS r ON r.rid = m.rid "
        f"WHERE NOT r.deleted AND {scope.seen()}"
    )


def _referred(scope: Scope, sources: str, patient: str, *, without: Collection[str]) -> str:
    """The rids of what the sources refer to, but resources of some types and what is of another patient's record."""
    return (
        f"SELECT t.rid FROM (SELECT DISTINCT i.target_rid FROM {sources} AS m JOIN index_reference AS i "
        "ON i.rid = m.rid) AS f(rid) JOIN resource AS t ON t.rid = f.rid "
        f"WHERE t.type_id <> ALL ({_array(scope, sorted(TYPE_ID[name] for name in without))}) "
        "AND NOT EXISTS (SELECT FROM index_reference AS o JOIN resource AS p ON p.rid = o.target_rid "
        f"WHERE o.rid = t.rid AND o.param_id = {_any(scope, membership('Patient'))} "
        f"AND p.type_id = {scope.bind(TYPE_ID['Patient'])} AND p.rid > 0 AND p.rid IS DISTINCT FROM {patient})"
    )


def _attached(scope: Scope, sources: str, base_url: str) -> str:
    """The rids of what documents among the sources hold as an attachment: their URLs are no references."""
    binary = scope.bind("Binary/")
    return (
        f"SELECT b.rid FROM {sources} AS m JOIN index_uri AS i ON i.rid = m.rid "
        f"AND i.param_id = {_any(scope, row_ids(('DocumentReference', 'location')))} "
        f"JOIN resource AS b ON b.type_id = {scope.bind(TYPE_ID['Binary'])}::smallint "
        "AND b.id = substring(i.value FROM '[^/]+$') "
        f"WHERE i.value IN ({binary} || b.id, {scope.bind(base_url + '/Binary/')} || b.id)"
    )


def _types(scope: Scope, names: Collection[str]) -> str:
    return _any(scope, sorted(TYPE_ID[name] for name in names))


def _any(scope: Scope, found: Collection[int]) -> str:
    return f"ANY ({_array(scope, found)})"


def _array(scope: Scope, found: Collection[int]) -> str:
    return f"{scope.bind(list(found))}::smallint[]"


_GATHER: Mapping[str, Callable[[Scope, str, str], Gathered]] = {"Patient": _patient, "EpisodeOfCare": _case}
