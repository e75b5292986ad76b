"""Loading files: what is sent for each, in which order, what is sent again, and what is reported."""

from __future__ import annotations

import bz2
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.services import load
from app.services.load import Journal, Loader, Report
from app.services.load_files import Request, requests
from tests.support.factories import bundle, entry, observation, patient
from tests.support.servers import careloop

Answer = Callable[[httpx.Request], httpx.Response]


def write(path: Path, *contents: Any) -> Path:
    path.write_text("\n".join(json.dumps(content) for content in contents))
    return path


async def run(answer: Answer, *paths: Path, journal: Path | None = None, again: bool = False) -> Report:
    transport = httpx.MockTransport(answer)
    async with httpx.AsyncClient(base_url="http://fhir.test/fhir/", transport=transport) as client:
        return await Loader(client, Journal(journal), 2, again=again).load(paths)


class Server:
    """Another FHIR server: answers from a list of statuses, then 200; keeps what it was sent."""

    def __init__(self, *statuses: int) -> None:
        self.seen: list[tuple[str, str]] = []
        self.bodies: list[bytes] = []
        self._statuses = list(statuses)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append((request.method, request.url.path.removeprefix("/fhir/")))
        self.bodies.append(request.content)
        status = self._statuses.pop(0) if self._statuses else 200
        return httpx.Response(status, json={"resourceType": "OperationOutcome", "issue": [{"diagnostics": "because"}]})


async def test_a_resource_is_put_at_its_id_and_posted_without_one(tmp_path: Path) -> None:
    server = Server()
    report = await run(server, write(tmp_path / "a.ndjson", patient(id="p1"), patient()))
    assert sorted(server.seen) == [("POST", "Patient"), ("PUT", "Patient/p1")]
    assert report.loaded == {"Patient": 2}


async def test_a_transaction_is_sent_byte_for_byte(tmp_path: Path) -> None:
    text = '{"resourceType":"Bundle", "type":"transaction",  "entry":[]}'
    (tmp_path / "t.json").write_text("\ufeff" + text)
    server = Server()
    await run(server, tmp_path / "t.json")
    assert (server.seen, server.bodies) == ([("POST", "")], [text.encode()])


def test_the_entries_of_a_collection_are_sent_one_by_one_with_their_numbers_as_written(tmp_path: Path) -> None:
    value = '{"resourceType":"Observation","valueQuantity":{"value":1.00}}'
    text = f'{{"resourceType":"Bundle","type":"collection","entry":[{{"resource":{value}}},{{"resource":{{}}}}]}}'
    (tmp_path / "c.json").write_text(text)
    good, bad = requests(tmp_path / "c.json")
    assert isinstance(good, Request)
    assert good.body == value.encode()
    assert str(bad) == "entry 1: not a FHIR resource"


@pytest.mark.parametrize(("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_compressed_files_are_read(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / f"a.ndjson{suffix}"
    path.write_bytes(pack(b'{"resourceType":"Patient"}\n\n{"resourceType":"Basic"}\n'))
    assert [found.types for found in requests(path) if isinstance(found, Request)] == [{0: "Patient"}, {0: "Basic"}]


async def test_a_broken_file_is_reported_without_its_content(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text('{"resourceType":"Patient"}\n{"name":"Zebulon\n')
    (tmp_path / "b.json.gz").write_bytes(b"no gzip")
    report = await run(Server(), tmp_path)
    assert report.loaded == {"Patient": 1}
    assert [failure.file for failure in report.failures] == ["a.ndjson", "b.json.gz"]
    assert "line 2" in str(report.failures[0])
    assert "Zebulon" not in str(report.failures)


async def test_hospitals_go_first(tmp_path: Path) -> None:
    write(tmp_path / "a.json", patient(id="a"))
    write(tmp_path / "hospitalInformation1.json", patient(id="h"))
    write(tmp_path / "0-first.json", patient(id="z"))
    server = Server()
    await run(server, tmp_path)
    assert server.seen[-1] == ("PUT", "Patient/a")


async def test_what_refers_to_something_later_is_sent_again(tmp_path: Path) -> None:
    known: set[str] = set()

    def answer(request: httpx.Request) -> httpx.Response:
        if "Observation" in request.url.path and "Patient" not in known:
            return httpx.Response(409)
        known.add(request.url.path.split("/")[2])
        return httpx.Response(201)

    report = await run(answer, write(tmp_path / "a.ndjson", observation("Patient/p", id="o"), patient(id="p")))
    assert (report.loaded, report.failures) == ({"Patient": 1, "Observation": 1}, [])


async def test_what_is_refused_for_good_is_reported_once(tmp_path: Path) -> None:
    server = Server(409, 409)
    report = await run(server, write(tmp_path / "a.json", patient(id="p")))
    assert [str(failure) for failure in report.failures] == ["a.json: 409; because"]
    assert len(server.seen) == 2


async def test_only_the_refused_entries_of_a_batch_are_sent_again(tmp_path: Path) -> None:
    sizes: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        entries = json.loads(request.content)["entry"]
        sizes.append(len(entries))
        statuses = ["400" if "bad" in e["resource"].get("id", "") else "201 Created" for e in entries]
        return httpx.Response(200, json=bundle("batch-response", [{"response": {"status": s}} for s in statuses]))

    batch = bundle("batch", [entry("POST", "Patient", patient()), entry("PUT", "Patient/bad", patient(id="bad"))])
    path, journal = write(tmp_path / "b.json", batch), tmp_path / "journal"
    first = await run(answer, path, journal=journal)
    second = await run(answer, path, journal=journal)
    assert sizes == [2, 1, 1, 1]
    assert (first.loaded, second.loaded) == ({"Patient": 1}, {})
    assert [str(failure) for failure in second.failures] == ["b.json: entry 1: 400"]


async def test_a_second_run_sends_only_what_is_missing(tmp_path: Path) -> None:
    path, journal = write(tmp_path / "a.ndjson", patient(), patient(active=True)), tmp_path / "journal"
    server = Server(201, 400)
    assert len((await run(server, path, journal=journal)).failures) == 1
    report = await run(server, path, journal=journal)
    assert (report.loaded, len(server.seen)) == ({"Patient": 1}, 3)
    assert (await run(server, path, journal=journal)).skipped_files == 1
    assert (await run(server, path, journal=journal, again=True)).loaded == {"Patient": 2}


async def test_a_busy_server_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "_PAUSES", (0, 0))
    report = await run(Server(503, 503), write(tmp_path / "a.json", patient()))
    assert report.loaded == {"Patient": 1}


@pytest.mark.parametrize(("resource", "loaded"), [(patient(id="p"), 1), (patient(), 0)])
async def test_a_lost_answer_is_asked_for_again_only_where_that_is_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resource: Any, loaded: int
) -> None:
    monkeypatch.setattr(load, "_PAUSES", (0, 0))
    tries: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        tries.append(request.method)
        if len(tries) == 1:
            raise httpx.ReadError("broken")
        return httpx.Response(201)

    report = await run(answer, write(tmp_path / "a.json", resource))
    assert report.loaded.total() == loaded
    assert len(tries) == 1 + loaded
    assert all("may have stored it" in str(failure) for failure in report.failures)


class CutOff(Exception):
    """The end of the process."""


CONDITIONAL = entry("POST", "Patient", patient(), ifNoneExist="identifier=1")


@pytest.mark.parametrize(
    ("content", "sends"),
    [
        (patient(), 1),
        (bundle("transaction", [entry("POST", "Patient", patient())]), 1),
        (patient(id="p"), 2),
        (bundle("transaction", [CONDITIONAL, entry("PUT", "Patient/p", patient(id="p"))]), 2),
    ],
)
async def test_a_run_that_was_cut_off_is_repeated_only_where_that_is_safe(
    tmp_path: Path, content: Any, sends: int
) -> None:
    path, journal, server = write(tmp_path / "a.json", content), tmp_path / "journal", Server()

    def cut_off(request: httpx.Request) -> httpx.Response:
        server(request)
        raise CutOff

    with pytest.raises(ExceptionGroup):
        await run(cut_off, path, journal=journal)
    report = await run(server, path, journal=journal)
    assert len(server.seen) == sends
    assert ["may have stored it" in str(failure) for failure in report.failures] == [True] * (2 - sends)
    assert (await run(server, path, journal=journal, again=True)).failures == []
    assert (await run(server, path, journal=journal)).skipped_files == 1


async def test_who_stops_it_gets_the_answers_that_are_to_come(tmp_path: Path) -> None:
    path, journal = write(tmp_path / "a.ndjson", *(patient() for _ in range(9))), Journal(tmp_path / "journal")
    server = Server()

    def stopping(request: httpx.Request) -> httpx.Response:
        loader.stop()
        return server(request)

    async with httpx.AsyncClient(base_url="http://fhir.test/fhir/", transport=httpx.MockTransport(stopping)) as client:
        loader = Loader(client, journal, 2)
        report = await loader.load([path])
    assert (report.stopped, report.failures, report.loaded.total()) == (True, [], len(server.seen))
    assert 0 < len(server.seen) <= 2
    rest = await run(server, path, journal=tmp_path / "journal")
    assert (rest.failures, len(server.seen)) == ([], 9)


@pytest.mark.parametrize("wrong", [{"id": "a\nb"}, {"id": "../livez"}, {"id": 7}, {"resourceType": "../Patient"}])
async def test_what_has_no_place_on_a_server_is_reported(tmp_path: Path, wrong: dict[str, Any]) -> None:
    server = Server()
    report = await run(server, write(tmp_path / "a.ndjson", patient() | wrong, patient()))
    assert server.seen == [("POST", "Patient")]
    (failure,) = report.failures
    assert str(failure).startswith("a.ndjson: line 1: ")


async def test_a_damaged_file_is_reported(tmp_path: Path) -> None:
    damaged = bytearray(gzip.compress(json.dumps(patient(text={"div": "x" * 999})).encode()))
    damaged[15:25] = b"\xff" * 10
    (tmp_path / "a.json.gz").write_bytes(damaged)
    (failure,) = (await run(Server(), tmp_path / "a.json.gz")).failures
    assert "cannot be read" in str(failure)


@pytest.mark.parametrize("server", ["nowhere", "ftp://fhir.test/fhir", "http://"])
def test_a_server_that_is_none_is_a_wrong_setting(tmp_path: Path, server: str) -> None:
    done = careloop("load", str(write(tmp_path / "a.json", patient())), "--server", server)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


async def test_a_missing_file_stops_it_before_anything_is_sent(tmp_path: Path) -> None:
    server = Server()
    with pytest.raises(FileNotFoundError):
        await run(server, write(tmp_path / "a.json", patient()), tmp_path / "missing")
    assert server.seen == []
