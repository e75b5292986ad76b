"""The same workloads against any other FHIR server. There is no limit to compare with: what runs there is not ours."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

from bench import client, wrk
from bench.data import generated, observations
from bench.report import Row, row

LINES = 2_000
RUNS = 3


def measure(base: str, token: str | None, seconds: int) -> list[Row]:
    """Load the generated data, then read and create. The server keeps all of it."""
    base = base.rstrip("/")
    data = generated()
    _, places = client.post_bundles(base, data.first, token)
    took, more = client.post_bundles(base, data.patients, token)
    patient = next(place for place in more if place.startswith("Patient/"))
    bodies = [body.decode() for body in observations(patient, LINES)]
    client.create_one(base, bodies[0].encode(), token)
    sample = random.Random(1).sample(places + more, LINES)
    return [
        _loaded("read", base, sample, seconds, token),
        _loaded("create", base, bodies, seconds, token),
        row("import", "resources/s", [(sum(data.sizes) / took, None)]),
    ]


def _loaded(name: str, base: str, lines: list[str], seconds: int, token: str | None) -> Row:
    """The median of some runs, after a short one that does not count."""
    with tempfile.TemporaryDirectory(prefix="careloop-bench-") as folder:
        file = Path(folder) / name
        file.write_text("\n".join(lines) + "\n")
        wrk.rate(name, base, file, 2, token)
        return row(name, "requests/s", [(wrk.rate(name, base, file, seconds, token), None) for _ in range(RUNS)])
