"""An installed wheel works like the checkout: migrations, definitions and the dictionary travel inside it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import httpx

from tests.support.servers import ROOT, RunningServer, await_ready, clean_environment, elsewhere


def test_a_wheel_migrates_and_serves(tmp_path: Path, empty_database: str, unused_tcp_port: int) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").glob("careloop-*.whl")
    installed = tmp_path / "installed"
    ZipFile(wheel).extractall(installed)

    environment = clean_environment(database_url=empty_database, port=unused_tcp_port) | {"PYTHONPATH": str(installed)}
    where = str(installed)
    program = f"import app.cli; assert app.cli.__file__.startswith({where!r}); app.cli.main()"
    log = tmp_path / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", program, "serve"],
            cwd=elsewhere(),
            env=environment,
            stdout=output,
            stderr=output,
            text=True,
            start_new_session=True,
        )
    server = await_ready(RunningServer(f"http://127.0.0.1:{unused_tcp_port}/fhir", empty_database, process, log))
    try:
        made = httpx.post(f"{server.base}/Patient", json={"resourceType": "Patient", "active": True})
        assert made.status_code == 201
        assert httpx.get(made.headers["location"]).json()["active"] is True
        described = httpx.get(f"{server.origin}/openapi.json", timeout=30).json()
        assert described["components"]["examples"]["refer"]["value"]["resourceType"] == "Parameters"
        for path in ("docs", "docs/start.js", "docs/page.css", "docs/swagger-ui-bundle.js"):
            assert httpx.get(f"{server.origin}/{path}").status_code == 200, path
    finally:
        assert server.stop() == 0
