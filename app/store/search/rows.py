"""Which rows of an index table belong to a search parameter."""

from __future__ import annotations

from collections.abc import Sequence

from app.fhir.search.parameters import SearchParameter


def of_parameter(parameter: SearchParameter, table: str = "", row: str = "i") -> str:
    """The condition that a row of the table is one of the parameter's."""
    return of_ids(parameter.logical_rows_of if table == "index_token" else parameter.rows_of, row)


def of_ids(ids: Sequence[int], row: str = "i") -> str:
    """The condition that the row stands under one of these parameter ids; none of them: under no id at all."""
    if not ids:
        return "false"
    column = f"{row}.param_id"
    return f"{column} = {ids[0]}" if len(ids) == 1 else f"{column} IN ({', '.join(map(str, ids))})"
