"""Running schemathesis by its command line against a server, and reading what it found."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.openapi.shallow import shallow
from tests.support.servers import RunningServer

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Found:
    """`said` is its whole report; `cases` how many requests it sent; `links` how many kinds of links it followed."""

    code: int
    cases: int
    links: int
    said: str


def fuzz(
    server: RunningServer,
    types: str,
    place: Path,
    *arguments: str,
    base: str | None = None,
    patience: int,
    learning: bool = False,
) -> Found:
    """Try the operations of these types. `base` is the FHIR base unless it is given.

    `learning` makes requests of what was answered before; without it they are the same every time.
    """
    document = httpx.get(f"{server.origin}/openapi.json", params={"types": types}, timeout=60).json()
    tried = _of_base(document) if base is None else document
    (place / "openapi.json").write_text(json.dumps(shallow(tried)))
    shutil.copy(HERE / "schemathesis_hooks.py", place)
    settings = (HERE / "schemathesis.toml").read_text()
    (place / "schemathesis.toml").write_text(
        settings.replace("responses = false", f"responses = {str(learning).lower()}")
    )
    return _run(base or server.base, place, arguments, patience)


def _of_base(document: dict[str, Any]) -> dict[str, Any]:
    """Without the paths that stand beside the FHIR base."""
    paths = {path: item for path, item in document["paths"].items() if "servers" not in item}
    return document | {"paths": paths}


def _run(base: str, place: Path, arguments: Sequence[str], patience: int) -> Found:
    program = "from schemathesis.cli import schemathesis; schemathesis()"
    fixed = ("--url", base, "--no-color", "--no-shrink", "--continue-on-failure", "--report", "json")
    done = subprocess.run(
        [sys.executable, "-c", program, "run", "openapi.json", *fixed, "--report-json-path", "found.json", *arguments],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=patience,
        check=False,
    )
    report = json.loads((place / "found.json").read_text()) if (place / "found.json").is_file() else {}
    said = done.stdout + done.stderr
    return Found(done.returncode, _cases(report), _links(said), said)


def _cases(report: dict[str, Any]) -> int:
    return int(report.get("test_cases", {}).get("generated", 0))


def _links(said: str) -> int:
    found = re.search(r"API Links: +(\d+) covered", said)
    return int(found[1]) if found else 0
