"""Loading files into a FHIR server over HTTP: what `careloop load` and `careloop demo` do.

A run can be stopped and repeated: a journal remembers what the server has taken. What the server refuses because
something it refers to is missing is sent again after the rest, for as long as that helps.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import httpx

from app.services.load_files import Request, Unreadable, digest, find, requests, stages

TIMEOUT = httpx.Timeout(600, connect=10)
_HEADERS = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json", "Prefer": "return=minimal"}
_DEPENDS = {404, 409, 412, 422}
_BUSY = {429, 502, 503, 504}
_PAUSES = (0.2, 0.5, 1, 2, 4, 8, 8, 8, 8, 8, 8)


@dataclass(frozen=True, slots=True)
class Failure:
    """What was not loaded, and why: `place` is where in the file."""

    file: str
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.file}{f' {self.place}' if self.place else ''}: {self.reason}"


@dataclass(slots=True)
class Report:
    loaded: Counter[str] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    skipped_files: int = 0
    stopped: bool = False


class Journal:
    """The digests of the files, and of the parts of unfinished files, that one server has taken.

    A line is a key, behind `?` what is sent and not answered yet, and behind `!` what was answered and not taken.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: set[str] = set()
        self._in_doubt: set[str] = set()
        for line in path.read_text().split() if path and path.exists() else ():
            self._note(line)

    def has(self, key: str) -> bool:
        return key in self._known

    def is_in_doubt(self, key: str) -> bool:
        """Whether it was sent, and nobody knows what became of it."""
        return key in self._in_doubt

    def add(self, key: str) -> None:
        self._write(key)

    def sent(self, key: str) -> None:
        self._write(f"?{key}")

    def refused(self, key: str) -> None:
        self._write(f"!{key}")

    def _write(self, line: str) -> None:
        self._note(line)
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(f"{line}\n")

    def _note(self, line: str) -> None:
        key = line.lstrip("?!")
        if line.startswith("?"):
            self._in_doubt.add(key)
        else:
            self._in_doubt.discard(key)
        if line == key:
            self._known.add(key)

    @classmethod
    def of_server(cls, base_url: str) -> Journal:
        """The journal in the user's cache directory; names of files are not in it, they can be names of people."""
        place = Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache") / "careloop"
        place.mkdir(parents=True, exist_ok=True)
        return cls(place / f"loaded-{hashlib.sha256(base_url.encode()).hexdigest()[:16]}")


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        return Path(gettempdir())


@dataclass(slots=True)
class _File:
    """A file on its way: it is finished when it is read, nothing of it is under way and nothing failed."""

    path: Path
    digest: str
    pending: int = 0
    read: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True)
class _Part:
    file: _File
    key: str
    request: Request


Reasons = dict[int, str]  # why an entry was refused, by its number


class Loader:
    """One run against one server. `advance` is called with each file that is read."""

    def __init__(
        self, client: httpx.AsyncClient, journal: Journal, concurrency: int = 4, *, again: bool = False
    ) -> None:
        self._client = client
        self._journal = journal
        self._concurrency = concurrency
        self._again = again
        self._refused: list[tuple[_Part, Reasons]] = []
        self.report = Report()

    async def load(self, paths: Iterable[Path], advance: Callable[[Path], None] = lambda _: None) -> Report:
        """Load files and directories. Raises FileNotFoundError before anything is sent."""
        for stage in stages(find(paths)):
            await self._send_all(self._parts(stage, advance))
            await self._send_refused()
        return self.report

    def stop(self) -> None:
        """Begin nothing new: `load` returns when what is under way has been answered."""
        self.report.stopped = True

    async def send(self, request: Request, name: str) -> Report:
        """Load content that is not in a file."""
        await self._send(_Part(_File(Path(name), ""), "", request))
        await self._send_refused()
        return self.report

    def _parts(self, files: Sequence[Path], advance: Callable[[Path], None]) -> Iterator[_Part]:
        for path in files:
            file = _File(path, digest(path))
            if self._known(file.digest):
                self.report.skipped_files += 1
            else:
                yield from self._parts_of(file)
            advance(path)

    def _parts_of(self, file: _File) -> Iterator[_Part]:
        for number, found in enumerate(requests(file.path)):
            key = f"{file.digest}:{number}"
            if isinstance(found, Unreadable):
                self._fail(file, "", str(found))
            elif self._journal.is_in_doubt(key) and not found.repeatable and not self._again:
                self._fail(file, found.place, _IN_DOUBT)
            elif not self._known(key):
                file.pending += 1
                yield _Part(file, key, self._rest_of(found, key))
        file.read = True
        self._finish(file)

    def _known(self, key: str) -> bool:
        return not self._again and self._journal.has(key)

    def _rest_of(self, request: Request, key: str) -> Request:
        taken = {number for number in request.types if self._known(f"{key}/{number}")} if request.batch else set()
        return request.without(taken) if taken else request

    async def _send_all(self, parts: Iterator[_Part]) -> None:
        """Several tasks take from one iterator: each takes the next part when it has sent the one before."""

        async def work() -> None:
            for part in parts:
                if self.report.stopped:
                    return
                await self._send(part)

        async with asyncio.TaskGroup() as group:
            for _ in range(self._concurrency):
                group.create_task(work())

    async def _send_refused(self) -> None:
        """What was refused may refer to what came later: send it again, as long as some more of it is taken."""
        before = -1
        while (left := sum(len(part.request.types) for part, _ in self._refused)) not in (0, before):
            before = left
            again, self._refused = self._refused, []
            await self._send_all(iter([part for part, _ in again]))
            if self.report.stopped:
                return
        for part, reasons in self._refused:
            self._give_up(part, reasons)
        self._refused = []

    async def _send(self, part: _Part) -> None:
        if not part.request.repeatable:
            self._journal.sent(part.key)
        try:
            response = await self._answer(part.request)
        except httpx.TransportError as error:
            if isinstance(error, httpx.ConnectError):
                self._journal.refused(part.key)
            self._give_up(part, {0: _lost(part.request, error)})
            return
        if response.is_success:
            self._take(part, _refused_entries(part.request, _content(response)))
            return
        if not part.request.repeatable:
            self._journal.refused(part.key)
        if response.status_code in _DEPENDS:
            self._refused.append((part, {0: _reason(response.status_code, _content(response))}))
        else:
            self._give_up(part, {0: _reason(response.status_code, _content(response))})

    async def _answer(self, request: Request) -> httpx.Response:
        """Send, patiently while the server restarts. A POST whose answer is lost is not repeated: it may be stored."""
        for pause in _PAUSES:
            try:
                response = await self._once(request)
                if response.status_code not in _BUSY:
                    return response
            except httpx.ConnectError:
                pass
            except httpx.TransportError:
                if not request.repeatable:
                    raise
            if self.report.stopped:
                break
            await asyncio.sleep(pause)
        return await self._once(request)

    async def _once(self, request: Request) -> httpx.Response:
        return await self._client.request(request.method, request.url, content=request.body, headers=_HEADERS)

    def _take(self, part: _Part, refused: Reasons) -> None:
        taken = [number for number in part.request.types if number not in refused]
        self.report.loaded.update(part.request.types[number] for number in taken)
        if refused:
            for number in taken:
                self._journal.add(f"{part.key}/{number}")
            self._journal.refused(part.key)
            self._refused.append((replace(part, request=part.request.without(taken)), refused))
        else:
            self._journal.add(part.key)
            part.file.pending -= 1
            self._finish(part.file)

    def _give_up(self, part: _Part, reasons: Reasons) -> None:
        for reason in reasons.values():
            self._fail(part.file, part.request.place, reason)

    def _fail(self, file: _File, place: str, reason: str) -> None:
        file.failed = True
        self.report.failures.append(Failure(file.path.name, place, reason))

    def _finish(self, file: _File) -> None:
        if file.read and not file.pending and not file.failed and file.digest:
            self._journal.add(file.digest)


_IN_DOUBT = (
    "a run before was cut off when it had sent this, and the server may have stored it: look whether it is there, and "
    "load the file with --again if not"
)


def _lost(request: Request, error: httpx.TransportError) -> str:
    what = type(error).__name__
    if request.repeatable or isinstance(error, httpx.ConnectError):
        return f"the server cannot be reached ({what})"
    return f"the connection broke before the answer came ({what}); the server may have stored it"


def _content(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _refused_entries(request: Request, content: Any) -> Reasons:
    """The entries of a batch that the server refused."""
    entries = content.get("entry", []) if isinstance(content, dict) and request.batch else []
    answers = dict(zip(request.types, (entry.get("response", {}) for entry in entries), strict=False))
    return {
        number: f"entry {number}: {_reason(answer.get('status', ''), answer.get('outcome'))}"
        for number, answer in answers.items()
        if not str(answer.get("status", "")).startswith(("2", "304"))
    }


def _reason(status: int | str, outcome: Any) -> str:
    issues = outcome.get("issue", []) if isinstance(outcome, dict) else []
    return "; ".join([str(status), *map(_issue, issues)])


def _issue(issue: dict[str, Any]) -> str:
    where = ", ".join(issue.get("expression", []))
    what = issue.get("diagnostics") or issue.get("code", "")
    return f"{where}: {what}" if where else str(what)
