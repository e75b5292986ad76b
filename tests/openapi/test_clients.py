"""Clients that others generate from the description compile, and bring a referral from its order to its end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.openapi.support import Json
from tests.support.servers import ROOT, RunningServer

HERE = ROOT / "tests" / "openapi"
JOURNEY_TYPES = "Organization,Patient,ServiceRequest,Task"
_PATIENCE = 240
_UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH")


def run(*command: str | Path, at: Path, **environment: str) -> str:
    """What a program says; it must succeed."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=at,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


# TypeScript


def node() -> dict[str, str]:
    """The environment of Node from PyPI, which trusts whom the system trusts: networks have authorities of their own.

    What the caller's environment says to Node is kept.
    """
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return {"PATH": path, "NODE_OPTIONS": f"--use-system-ca {os.environ.get('NODE_OPTIONS', '')}".strip()}


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the journey and the locked packages of npm."""
    place = tmp_path_factory.mktemp("typescript")
    for file in (HERE / "typescript").iterdir():
        shutil.copy(file, place)
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--cache", str(place / ".cache")],
        cwd=place,
        env=os.environ | node(),
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    if done.returncode and "CI" not in os.environ and any(word in done.stderr for word in _UNREACHABLE):
        pytest.skip("npm's registry cannot be reached from here, so that there is no TypeScript to compile with")
    assert done.returncode == 0, done.stderr[-3000:]
    return place


def test_a_client_in_typescript_compiles_and_refers(workshop: Path, server: RunningServer, document: Json) -> None:
    (workshop / "openapi.json").write_text(json.dumps(document))
    tools = workshop / "node_modules" / ".bin"
    run(tools / "openapi-typescript", "openapi.json", "--output", "api.ts", at=workshop, **node())
    run(tools / "tsc", "--noEmit", "--project", ".", at=workshop, **node())
    assert run("node", "journey.ts", server.base, at=workshop, **node()).strip() == "completed manual"


def test_a_wrong_use_of_the_types_does_not_compile(workshop: Path, document: Json) -> None:
    (workshop / "openapi.json").write_text(json.dumps(document))
    tools = workshop / "node_modules" / ".bin"
    run(tools / "openapi-typescript", "openapi.json", "--output", "api.ts", at=workshop, **node())
    wrong = 'import type { components } from "./api.js";\ntype Task = components["schemas"]["Task"];\n'
    wrong += 'export const task: Task = { resourceType: "Task", status: "done", intent: "order" };\n'
    (workshop / "journey.ts").rename(workshop / "journey.kept")
    try:
        (workshop / "wrong.ts").write_text(wrong)
        with pytest.raises(AssertionError, match="not assignable"):
            run(tools / "tsc", "--noEmit", "--project", ".", at=workshop, **node())
    finally:
        (workshop / "wrong.ts").unlink()
        (workshop / "journey.kept").rename(workshop / "journey.ts")


def test_the_lock_of_npm_names_no_host() -> None:
    lock = json.loads((HERE / "typescript" / "package-lock.json").read_text())
    assert all("resolved" not in package for package in lock["packages"].values())
    wanted = json.loads((HERE / "typescript" / "package.json").read_text())
    versions = {**wanted["dependencies"], **wanted["devDependencies"]}
    assert {name: lock["packages"][f"node_modules/{name}"]["version"] for name in versions} == versions


# Python


def generate(document: bytes, place: Path) -> None:
    (place / "openapi.json").write_bytes(document)
    program = "from openapi_python_client.cli import app; app()"
    arguments = (
        "--path",
        "openapi.json",
        "--config",
        HERE / "python" / "config.yml",
        "--output-path",
        "careloop_client",
    )
    said = run(sys.executable, "-c", program, "generate", *arguments, "--meta", "none", at=place)
    assert "WARNING" not in said, said
    assert "ERROR" not in said, said


def test_a_client_in_python_compiles_and_refers(tmp_path: Path, server: RunningServer) -> None:
    generate(httpx.get(f"{server.origin}/openapi.json", params={"types": JOURNEY_TYPES}, timeout=30).content, tmp_path)
    shutil.copy(HERE / "python" / "journey.py", tmp_path)
    run(sys.executable, "-m", "compileall", "-q", "careloop_client", at=tmp_path)
    run(sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "journey.py", at=tmp_path)
    said = run(sys.executable, "journey.py", server.base, at=tmp_path)
    assert said.strip() == "completed manual"


@pytest.mark.slow
def test_a_client_in_python_of_the_whole_document_compiles(tmp_path: Path, server: RunningServer) -> None:
    generate(httpx.get(f"{server.origin}/openapi.json", timeout=30).content, tmp_path)
    run(sys.executable, "-m", "compileall", "-q", "careloop_client", at=tmp_path)
