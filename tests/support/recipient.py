"""A recipient's FHIR server for tests: real HTTP in a thread of its own, and as ill-behaved as a test wants it.

It keeps what it gets like a server that heeds If-None-Exist. `script` holds what it does instead with the next
requests, in order: a status, a `Reply`, `DROP` (take the request in, and hang up without an answer) or `LOSE` (hang up
without taking it in).
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Json = dict[str, Any]
DROP, LOSE = "drop", "lose"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Json | None = None


@dataclass(frozen=True)
class Seen:
    at: float
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass
class Recipient:
    """`seen` are all requests; `resources` what is kept, by `Type/id`; `most` the most requests at one time."""

    port: int = 0
    pause: float = 0.0
    searchable: bool = True
    script: deque[int | str | Reply] = field(default_factory=deque)
    always: int | str | Reply | None = None
    seen: list[Seen] = field(default_factory=list)
    resources: dict[str, Json] = field(default_factory=dict)
    capabilities: Json = field(default_factory=lambda: capable("Task"))
    most: int = 0
    _now: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/fhir"

    def of(self, method: str, path: str = "") -> list[Seen]:
        return [one for one in self.seen if one.method == method and one.path.startswith(path)]

    def tasks(self) -> list[Json]:
        return [one for one in self.resources.values() if one["resourceType"] == "Task"]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (seen := await _read(reader)) is not None:
                if not await self._one(seen, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _one(self, seen: Seen, writer: asyncio.StreamWriter) -> bool:
        self.seen.append(seen)
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            await asyncio.sleep(self.pause)
            told = self.script.popleft() if self.script and seen.path != "metadata" else self.always
            if told == LOSE:
                return False
            if told is None or told == DROP:
                reply = self.answer(seen)
            else:
                reply = told if isinstance(told, Reply) else Reply(told)
            if told == DROP:
                return False
        finally:
            self._now -= 1
        await _write(writer, reply)
        return True

    def answer(self, seen: Seen) -> Reply:
        if seen.path == "metadata":
            return Reply(200, {}, self.capabilities)
        if seen.method == "POST":
            return self._create(seen)
        if seen.method == "PUT":
            self.resources[seen.path] = seen.body
            return Reply(200, {}, seen.body)
        if "/" in seen.path:
            found = self.resources.get(seen.path)
            return Reply(200, {"ETag": 'W/"1"'}, found) if found else Reply(404)
        return self._search(seen) if self.searchable else Reply(400)

    def _create(self, seen: Seen) -> Reply:
        criteria = dict(parse_qsl(seen.headers.get("if-none-exist", "")))
        for old in self._matching(seen.path, criteria.get("identifier", "")):
            return Reply(200, {}, old)
        made = {**seen.body, "id": f"r{len(self.resources) + 1}"}
        self.resources[f"{seen.path}/{made['id']}"] = made
        return Reply(201, {"Location": f"{self.address}/{seen.path}/{made['id']}/_history/1"}, made)

    def _search(self, seen: Seen) -> Reply:
        entries = [{"resource": one} for one in self._matching(seen.path, seen.query.get("identifier", ""))]
        return Reply(200, {}, {"resourceType": "Bundle", "type": "searchset", "entry": entries})

    def _matching(self, kind: str, token: str) -> Iterator[Json]:
        for one in self.resources.values():
            tokens = [f"{i.get('system', '')}|{i['value']}" for i in one.get("identifier", ())]
            if one["resourceType"] == kind and token in tokens:
                yield one


def capable(*types: str) -> Json:
    resources = [
        {
            "type": kind,
            "interaction": [{"code": "create"}, {"code": "read"}, {"code": "update"}],
            "conditionalCreate": True,
            "searchParam": [{"name": "identifier", "type": "token"}],
        }
        for kind in types
    ]
    return {
        "resourceType": "CapabilityStatement",
        "fhirVersion": "4.0.1",
        "rest": [{"mode": "server", "resource": resources}],
    }


async def _read(reader: asyncio.StreamReader) -> Seen | None:
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    first, *lines = head.decode().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    parts = urlsplit(target)
    path = parts.path.removeprefix("/fhir").strip("/")
    content = json.loads(body) if body else None
    return Seen(time.time(), method, path, dict(parse_qsl(parts.query)), headers, content)


async def _write(writer: asyncio.StreamWriter, reply: Reply) -> None:
    body = json.dumps(reply.body).encode() if reply.body is not None else b""
    headers = {"Content-Length": str(len(body)), "Content-Type": "application/fhir+json", **reply.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {reply.status} Told\r\n{lines}\r\n".encode() + body)
    await writer.drain()


@contextmanager
def running_recipient() -> Iterator[Recipient]:
    recipient, started, ended = Recipient(), threading.Event(), threading.Event()

    async def run() -> None:
        server = await asyncio.start_server(recipient.serve, "127.0.0.1", 0, limit=2**20)
        recipient.port = server.sockets[0].getsockname()[1]
        started.set()
        while not ended.is_set():  # noqa: ASYNC110 - it is set in another thread
            await asyncio.sleep(0.02)
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert started.wait(5)
    yield recipient
    ended.set()
    thread.join(5)
