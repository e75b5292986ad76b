"""A small sender for recipients who work on its API: it keeps Tasks, whose status may change as Gravity says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]

MOVES = {
    "requested": {"accepted", "rejected", "cancelled"},
    "accepted": {"in-progress", "cancelled", "completed"},
    "in-progress": {"completed", "cancelled"},
}


@dataclass
class Sender:
    """`requests` are method, path and actor of everything that was asked; `fails` how many more are answered 503."""

    port: int = 0
    resources: dict[str, Json] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    fails: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/fhir"

    def put(self, resource: Json) -> str:
        """Keep a resource; returns its URL."""
        place = f"{resource['resourceType']}/{resource['id']}"
        self.resources[place] = resource
        self.versions[place] = self.versions.get(place, 0) + 1
        return f"{self.base}/{place}"

    def status(self, place: str) -> str:
        return str(self.resources[place]["status"])

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> tuple[int, Json]:
        path, query = urlsplit(target).path.removeprefix("/fhir/"), parse_qs(urlsplit(target).query)
        with self.lock:
            self.requests.append((method, path, headers.get("X-CareLoop-Actor", "")))
            if self.fails:
                self.fails -= 1
                return 503, {"resourceType": "OperationOutcome"}
            if method == "GET":
                return self._read(path, query)
            return self._create(headers, json.loads(body)) if method == "POST" else self._update(path, headers, body)

    def _read(self, path: str, query: dict[str, list[str]]) -> tuple[int, Json]:
        if "/" in path:
            return (200, self.resources[path]) if path in self.resources else (404, {})
        found = [r for r in self.resources.values() if r["resourceType"] == path and _matches(r, query)]
        return 200, {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": r} for r in found]}

    def _create(self, headers: Any, resource: Json) -> tuple[int, Json]:
        wanted = headers.get("If-None-Exist", "").removeprefix("identifier=")
        for known in self.resources.values():
            if wanted and f"{_first(known).get('system')}|{_first(known).get('value')}" == wanted:
                return 200, known
        resource["id"] = str(len(self.resources) + 1)
        self.put(resource)
        return 201, resource

    def _update(self, path: str, headers: Any, body: bytes) -> tuple[int, Json]:
        before, wanted = self.resources[path]["status"], json.loads(body)
        if headers.get("If-Match") not in (None, f'W/"{self.versions[path]}"'):
            return 412, {}
        is_abort = wanted["code"]["coding"][0]["code"] == "abort"
        if wanted["status"] != before and wanted["status"] not in MOVES.get(before, set()) and not is_abort:
            self.refused.append(wanted["status"])
            return 409, {}
        self.statuses.append(wanted["status"])
        self.put(wanted)
        return 200, wanted


def _first(resource: Json) -> Json:
    return next(iter(resource.get("identifier", ())), {})


def _matches(resource: Json, query: dict[str, list[str]]) -> bool:
    found = {
        "owner": resource.get("owner", {}).get("reference"),
        "status": resource.get("status"),
        "identifier": f"{_first(resource).get('system')}|{_first(resource).get('value')}",
    }
    return all(found[name] == values[0] for name, values in query.items() if name in found)


@contextmanager
def sending() -> Iterator[Sender]:
    sender = Sender()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, resource = sender.answer(self.command, self.path, self.headers, body)
            content = json.dumps(resource).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/fhir+json")
            self.send_header("Content-Length", str(len(content)))
            place = f"{resource.get('resourceType')}/{resource.get('id')}"
            if place in sender.versions:
                self.send_header("ETag", f'W/"{sender.versions[place]}"')
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _handle

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    sender.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield sender
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
