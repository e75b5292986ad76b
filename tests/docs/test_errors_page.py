"""docs/errors.md names every status and every kind of error that there is, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator

from app.errors import Problem
from tests.support.servers import ROOT

_row = re.compile(r"^\| (\d{3}) \| ([a-z-]+) \| (.+?) \| (.+) \|$", re.MULTILINE)


def kinds(of: type[Problem]) -> Iterator[type[Problem]]:
    for kind in of.__subclasses__():
        if kind.__module__ == "app.errors":
            yield kind
            yield from kinds(kind)


def test_the_table_of_errors_is_that_of_the_program() -> None:
    told = {(int(status), code) for status, code, *_ in _row.findall((ROOT / "docs" / "errors.md").read_text())}
    assert told == {(kind.status, kind.code) for kind in kinds(Problem)}


def test_the_tree_in_the_source_is_that_of_the_program() -> None:
    drawn = dict(re.findall(r"── (\w+) +(\d{3})\b", (ROOT / "app" / "errors.py").read_text()))
    assert drawn == {kind.__name__: str(kind.status) for kind in kinds(Problem)}
