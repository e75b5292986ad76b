"""The paths that CONTRIBUTING.md and docs/architecture.md name in `backticks` are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.support.servers import ROOT

PAGES = ("CONTRIBUTING.md", "docs/architecture.md")
PLACES = ("alembic", "app", "bench", "docs", "tests", "tools")

_fenced = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_quoted = re.compile(r"`([^`\n]+)`").findall
_is_path = re.compile(r"[\w.-]+(?:/[\w.-]+)*(?:/|\.(?:py|md|json|toml|txt|ini))").fullmatch

OTHERS = {"code.json"}
"""What looks like a path and stands for others."""


@pytest.mark.parametrize("page", PAGES)
def test_the_paths_that_a_page_names_exist(page: str) -> None:
    named = list(paths((ROOT / page).read_text()))
    assert len(named) > 20
    assert [path for path in named if not exists(path)] == []


def test_a_path_that_is_not_there_is_seen() -> None:
    text = "`app/fhir/` and `no such.py` but `worker.py`\n```text\n`lost.py`\n```\n"
    assert list(paths(text)) == ["app/fhir/", "worker.py"]
    assert [path for path in ("app/fhir/", "services/registry.py", "worker.py") if not exists(path)] == []
    assert not exists("app/fhir/worker.py")
    assert not exists("orker.py")


def paths(text: str) -> Iterator[str]:
    for quoted in _quoted(_fenced.sub("", text)):
        if _is_path(quoted) and quoted not in OTHERS:
            yield quoted


def exists(path: str) -> bool:
    """Whether it is a file or folder of the repository; the tables of a page name them by their last parts."""
    return (ROOT / path).exists() or any(f"/{known}".endswith(f"/{path.rstrip('/')}") for known in _known())


@cache
def _known() -> frozenset[str]:
    found = (path for place in PLACES for path in (ROOT / place).rglob("*"))
    return frozenset(str(path.relative_to(ROOT)) for path in found if "__pycache__" not in path.parts)
