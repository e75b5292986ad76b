"""The workloads. Each alternates ours and its limit, in pairs, and gives one row of the report."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.fhir.json import loads
from app.fhir.validation import check
from bench import client, rows, servers, wrk
from bench.data import Dataset, observations, warm_up
from bench.report import Row, row

READ_SAMPLE = 20_000
VALIDATED = 2_000


@dataclass
class Run:
    """How a run is made. `step` is called when something has been measured; `folder` is for files of the run."""

    postgres: str
    folder: Path
    pairs: int
    seconds: int
    step: Callable[[str], None]


def alternate(run: Run, name: str, ours: Callable[[], float], limit: Callable[[], float]) -> list[tuple[float, float]]:
    """A B A B."""
    pairs = []
    for _ in range(run.pairs):
        servers.sql(run.postgres, "CHECKPOINT")
        first = ours()
        servers.sql(run.postgres, "CHECKPOINT")
        pairs.append((first, limit()))
        run.step(name)
    return pairs


@dataclass
class Loaded:
    """A dataset in our tables behind one server process."""

    data: Dataset
    dsn: str
    base: str
    first_rid: int
    places: list[str]

    @property
    def patient(self) -> str:
        return next(place for place in self.places if place.startswith("Patient/"))


def load(run: Run, data: Dataset, stack: ExitStack) -> Loaded:
    dsn = stack.enter_context(servers.database(run.postgres, "bench_ours", ours=True))
    base = stack.enter_context(servers.careloop(dsn))
    _, places = client.post_bundles(base, data.first)
    first_rid = rows.last_rid(dsn)
    _, more = client.post_bundles(base, data.patients)
    run.step("load")
    return Loaded(data, dsn, base, first_rid, places + more)


def read(run: Run, loaded: Loaded) -> Row:
    """GET of random resources, one server process, against the same bytes by key."""
    places = random.Random(1).sample(loaded.places, min(READ_SAMPLE, len(loaded.places)))
    bodies = client.bodies(loaded.base, places)
    with servers.database(run.postgres, "bench_limit", ours=False) as dsn, servers.limit("read", dsn) as limit:
        types, ids = zip(*(place.split("/") for place in places), strict=True)
        fill = "INSERT INTO limit_read SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[])"
        servers.sql(dsn, fill, types, ids, bodies)
        servers.sql(dsn, "VACUUM ANALYZE")
        servers.sql(loaded.dsn, "VACUUM ANALYZE")
        if client.bodies(limit, places[:100]) != bodies[:100]:
            raise wrk.InvalidRun("the limit does not answer the same bytes")
        return _load(run, f"read{loaded.data.suffix}", "read", (loaded.base, limit), places)


def create(run: Run, loaded: Loaded) -> Row:
    """POST of Observations of an existing patient, one server process, against one INSERT of the body."""
    bodies = [body.decode() for body in observations(loaded.patient, VALIDATED)]
    with servers.database(run.postgres, "bench_limit", ours=False) as dsn, servers.limit("create", dsn) as limit:
        for base in (loaded.base, limit):
            client.create_one(base, bodies[0].encode())
        return _load(run, f"create{loaded.data.suffix}", "create", (loaded.base, limit), bodies)


def _load(run: Run, name: str, script: str, bases: tuple[str, str], lines: Sequence[str]) -> Row:
    file = run.folder / f"{name}.txt"
    file.write_text("\n".join(lines) + "\n")
    for base in bases:
        wrk.rate(script, base, file, 2)
    ours, limit = (lambda base=base: wrk.rate(script, base, file, run.seconds) for base in bases)
    return row(name, "requests/s", alternate(run, name, ours, limit))


def importing(run: Run, loaded: Loaded) -> Row:
    """Transaction bundles posted by several clients to two server processes, against inserting the finished rows."""
    shapes, work = rows.tables(loaded.dsn), rows.bundles(loaded.dsn, loaded.first_rid)
    count = sum(loaded.data.sizes)
    if sum(len(bundle[0][0]) for bundle in work) != count:
        raise wrk.InvalidRun("the rows for the import limit are not those of the bundles")

    first, others = warm_up()
    warm = _files(run, "warm", others)
    files = _files(run, "bundle", loaded.data.patients)

    def ours() -> float:
        with servers.database(run.postgres, "bench_import", ours=True) as dsn, servers.careloop(dsn, 2) as base:
            client.post_bundles(base, first + loaded.data.first)
            wrk.seconds_to_import(base, warm, run.folder)
            servers.sql(run.postgres, "CHECKPOINT")
            return count / wrk.seconds_to_import(base, files, run.folder)

    def limit() -> float:
        with servers.database(run.postgres, "bench_import", ours=True) as dsn:
            servers.sql(run.postgres, "CHECKPOINT")
            return count / rows.seconds(dsn, shapes, work, run.folder)

    name = f"import{loaded.data.suffix}"
    return row(name, "resources/s", alternate(run, name, ours, limit))


def _files(run: Run, name: str, bundles: Sequence[bytes]) -> list[Path]:
    files = [run.folder / f"{name}-{number}.json" for number in range(len(bundles))]
    for file, bundle in zip(files, bundles, strict=True):
        file.write_bytes(bundle)
    return files


def storage(loaded: Loaded) -> Row:
    """Bytes in the database for each resource, indexes and history included, against its compact JSON."""
    resources = loaded.data.resources
    plain = sum(map(len, resources)) / len(resources)
    name = f"storage{loaded.data.suffix}"
    return row(name, "bytes", [(rows.stored_bytes(loaded.dsn) / len(resources), plain)])


def validate(run: Run, data: Dataset) -> Row:
    """Validating a resource that has been read, against reading it with the strict JSON reader."""
    raw = random.Random(1).sample(data.resources, min(VALIDATED, len(data.resources)))
    values = [loads(text) for text in raw]
    for value in values:
        check(value)

    def ours() -> float:
        return _microseconds(check, values)

    def limit() -> float:
        return _microseconds(loads, raw)

    name = f"validate{data.suffix}"
    return row(name, "µs", alternate(run, name, ours, limit))


def _microseconds(work: Callable[[Any], object], items: Sequence[Any]) -> float:
    """µs per item. What stays in memory is hidden from the garbage collector, which would look at all of it again."""
    gc.collect()
    gc.freeze()
    start = time.perf_counter()
    for item in items:
        work(item)
    seconds = time.perf_counter() - start
    gc.unfreeze()
    return seconds / len(items) * 1e6
