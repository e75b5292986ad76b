"""Plans in our own words. What PostgreSQL prints of values must not come through."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.fhir.search.plans import Step, Use
from app.store.search.explain import read_plan

Node = dict[str, Any]


def node(kind: str, *below: Node, **more: Any) -> Node:
    named = {name.replace("_", " ").title().replace("By", "by"): value for name, value in more.items()}
    defaults = {"Plan Rows": 10, "Actual Rows": 10, "Actual Loops": 1, "Actual Total Time": 0.5}
    return {"Node Type": kind, **defaults, **named, **({"Plans": list(below)} if below else {})}


def steps(plan: Node) -> tuple[Step, ...]:
    return read_plan({"Plan": plan, "Planning Time": 1.5, "Execution Time": 2.5}, "x").steps


def quoted(text: str) -> str:
    """As PostgreSQL writes a text in a condition."""
    escape = "E" if "\\" in text else ""
    return escape + "'" + text.replace("\\", "\\\\").replace("'", "''") + "'::text"


def token_scan(code: str, **more: Any) -> Node:
    condition = f"((i.param_id = 42) AND (i.code = {quoted(code)}) AND (i.rid = r.rid))"
    return node(
        "Index Only Scan", relation_name="index_token", alias="i", index_name="by_code", index_cond=condition, **more
    )


def test_tells_table_index_columns_and_parameters() -> None:
    (step,) = steps(token_scan("x", filter="(i.system_id = 7)"))
    assert (step.table, step.index) == ("index_token", "by_code")
    assert set(step.sought) == {"rid", "param_id", "code"}
    assert step.tested == ("system_id",)
    assert step.parameters == {42}


@pytest.mark.parametrize(
    "condition",
    [
        "(param_id = ANY ('{42,43}'::integer[]))",
        "((param_id = '42'::smallint) OR (param_id = 43))",
        "(('it''s param_id = 7'::text = code) AND (param_id = ANY ('{42,43}'::smallint[])))",
    ],
)
def test_knows_parameters_however_they_are_written(condition: str) -> None:
    (step,) = steps(node("Index Scan", relation_name="index_token", alias="i", index_cond=condition))
    assert step.parameters == {42, 43}


def test_a_cast_or_another_table_is_no_column() -> None:
    condition = "((i.code = r.id) AND (i.text = 'x'::text) AND (n.lo > '1'::numeric))"
    (step,) = steps(node("Index Scan", relation_name="index_composite", alias="i", index_cond=condition))
    assert set(step.sought) == {"code", "text"}
    (step,) = steps(node("Index Scan", relation_name="index_composite", alias="i", index_cond="(code = 'x'::text)"))
    assert step.sought == ("code",)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_no_value_comes_through(code: str) -> None:
    assert (
        steps(token_scan(code, filter=f"(code <> {quoted(code)})"))[0].words()
        == steps(token_scan("x", filter=f"(code <> {quoted('x')})"))[0].words()
    )


def test_uses() -> None:
    probe = token_scan("x", parent_relationship="Inner", actual_loops=7)
    start = node("Index Scan", relation_name="resource", alias="r", parent_relationship="Outer")
    loop = node("Nested Loop", start, probe, parent_relationship="Outer")
    into = node(
        "Hash", node("Seq Scan", parent_relationship="Outer", relation_name="index_uri"), parent_relationship="Inner"
    )
    found = steps(node("Hash Join", loop, into))
    assert [(step.depth, step.use) for step in found] == [
        (0, Use.START),
        (1, Use.START),
        (2, Use.START),
        (2, Use.PROBE),
        (1, Use.HASH),
        (2, Use.HASH),
    ]
    assert (found[3].times, found[3].milliseconds) == (7, 3.5)


def test_the_places_of_a_bitmap_are_of_the_table_above() -> None:
    below = node("Bitmap Index Scan", parent_relationship="Outer", index_name="a", index_cond="(param_id = 42)")
    found = steps(node("Bitmap Heap Scan", below, relation_name="index_date", alias="s_1"))
    assert [(step.table, step.index, step.orders) for step in found] == [
        ("index_date", None, True),
        ("index_date", "a", True),
    ]


def test_notes() -> None:
    assert steps(node("Seq Scan", relation_name="index_token"))[0].note == "no index helps here"
    assert steps(node("Seq Scan", relation_name="pg_database"))[0].note is None
    wasteful = node("Index Scan", relation_name="resource", plan_rows=600, rows_removed_by_filter=5000)
    assert steps(wasteful)[0].note == "no index helps here"
    assert steps(wasteful | {"Actual Rows": 600})[0].note is None
    surprised = node("Index Scan", relation_name="resource", actual_rows=5000)
    assert "ANALYZE" in str(steps(surprised)[0].note)
    assert steps(node("Index Scan", relation_name="resource"))[0].note is None
