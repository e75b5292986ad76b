"""The workloads of search: throughput against its own SQL, and how latency grows with the data and with the page."""

from __future__ import annotations

import http.client
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import orjson

from app.fhir.json import loads
from app.store.codec import decompress, with_meta
from app.store.numbers import TYPE_ID
from bench import client, servers, wrk
from bench.data import PATIENTS, generated
from bench.report import Row, row
from bench.searches import Requests
from bench.statements import plain_copy, record
from bench.workloads import Loaded, Run, alternate

TIMES_MORE = 10
TIMED = 600
DEEP_PAGE = 500
DEEP = "Observation?status=final&_count=20"


KINDS: Mapping[str, Callable[[Requests], list[str]]] = {
    "search-patient": Requests.by_patient_and_code,
    "search-mix": Requests.mix,
    "revinclude": Requests.records,
}


def throughput(run: Run, loaded: Loaded, name: str) -> Row:
    """One of KINDS: requests to one server process, against their own SQL with joined bytes."""
    lines = KINDS[name](requests_for(loaded))
    servers.sql(loaded.dsn, "VACUUM ANALYZE")
    statements = run.folder / f"{name}.pickle"
    record(loaded.dsn, dict.fromkeys(lines), statements)
    copy = plain_copy(run.postgres, loaded.dsn, "bench_plain")
    with copy as dsn, limit(dsn, str(statements)) as base:
        return _rates(run, name, loaded.base, base, lines)


@contextmanager
def limit(dsn: str, statements: str) -> Iterator[str]:
    os.environ["BENCH_STATEMENTS"] = statements
    with servers.limit("search", dsn) as base:
        yield base


def _rates(run: Run, name: str, ours: str, limit: str, lines: Sequence[str]) -> Row:
    file = run.folder / f"{name}.txt"
    file.write_text("\n".join(lines) + "\n")
    for line in dict.fromkeys(lines[:40]):
        found, fetched = _entries(ours, line), _entries(limit, line)
        if not (found <= fetched and len(fetched) <= len(found) + 1):
            raise wrk.InvalidRun(f"{name}: the limit does not find the same resources")
    for base in (ours, limit):
        wrk.rate("read", base, file, 2)
    halves = (lambda base=base: wrk.rate("read", base, file, run.seconds) for base in (ours, limit))
    return row(name, "requests/s", alternate(run, name, *halves))


def flat(run: Run, loaded: Loaded) -> Row:
    """`search-flat`: the median latency of one client at ten times the data, over that at one time."""
    more = generated(PATIENTS * TIMES_MORE)
    with ExitStack() as stack:
        dsn = stack.enter_context(servers.database(run.postgres, "bench_more", ours=True))
        base = stack.enter_context(servers.careloop(dsn))
        client.post_bundles(base, more.first)
        client.post_bundles(base, more.patients)
        large = Loaded(more, dsn, base, 0, [])
        for each in (loaded, large):
            servers.sql(each.dsn, "VACUUM ANALYZE")
        halves = [median_of(each.base, _lines(each)) for each in (large, loaded)]
        return row("search-flat", "µs", alternate(run, "search-flat", *halves))


def _lines(loaded: Loaded) -> list[str]:
    requests = requests_for(loaded)
    lines = requests.by_patient_and_code() + requests.mix()
    return lines[:: max(1, len(lines) // TIMED)]


def deep(run: Run, loaded: Loaded) -> Row:
    """`search-deep`: the median latency of page 500 over that of page 1."""
    pages = [DEEP]
    while len(pages) < DEEP_PAGE:
        links = {link["relation"]: link["url"] for link in orjson.loads(_get(loaded.base, pages[-1]))["link"]}
        if "next" not in links:
            raise wrk.InvalidRun(f"search-deep: there are only {len(pages)} pages")
        pages.append(links["next"].removeprefix(loaded.base + "/"))
    halves = [median_of(loaded.base, [page] * TIMED) for page in (pages[-1], pages[0])]
    return row("search-deep", "µs", alternate(run, "search-deep", *halves))


def median_of(base: str, lines: Sequence[str]) -> Callable[[], float]:
    """A measurement: the median of the requests, in µs, one after the other."""

    def measure() -> float:
        taken = []
        with _connection(base) as get:
            for line in lines:
                start = time.perf_counter()
                get(line)
                taken.append(time.perf_counter() - start)
        return statistics.median(taken) * 1e6

    return measure


@contextmanager
def _connection(base: str) -> Iterator[Callable[[str], bytes]]:
    parts = urlsplit(base)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)

    def get(line: str) -> bytes:
        connection.request("GET", f"{parts.path}/{line}")
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise wrk.InvalidRun(f"a search was answered with {response.status}: {body[:300]!r}")
        return body

    try:
        yield get
    finally:
        connection.close()


def _get(base: str, line: str) -> bytes:
    with _connection(base) as get:
        return get(line)


def _entries(base: str, line: str) -> set[str]:
    """The ids of what is found. The statement of a page asks for one resource more than the page shows."""
    return {entry["resource"]["id"] for entry in orjson.loads(_get(base, line)).get("entry", [])}


def requests_for(loaded: Loaded) -> Requests:
    """The requests for what was loaded, with the ids that its patients got."""
    wanted = "SELECT id, body, version, last_updated FROM resource WHERE type_id = $1 AND NOT deleted"
    places = {}
    for id_, body, version, at in servers.sql(loaded.dsn, wanted, TYPE_ID["Patient"]):
        patient = loads(with_meta(decompress(body), version, at))
        places[f"urn:uuid:{patient['identifier'][0]['value']}"] = f"Patient/{id_}"
    return Requests(loaded.data, places)
