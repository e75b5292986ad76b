"""Log lines as JSON objects, one a line, on stderr.

No line may hold data of a person. So a request is logged by its route (`/fhir/{type}/{id}`), never by its URL; an
exception by its class and its place in the code, never by its message; other people's messages by their first line,
which names the event, since values follow on the next ones.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from traceback import extract_tb
from types import TracebackType

Field = str | int | float | bool | None

_LOG = logging.getLogger("careloop")
_REQUESTS = logging.getLogger("careloop.request")
_TRUSTED = ("careloop", "uvicorn")
_FIELDS = "careloop_fields"


def configure(level: str, *, requests: bool = False) -> None:
    """Send every log line of this process to stderr; with `requests`, a line for each request as well."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel("WARNING")
    for name in _TRUSTED:
        logging.getLogger(name).setLevel(level.upper())
    _REQUESTS.disabled = not requests


def event(name: str, level: int = logging.INFO, **fields: Field) -> None:
    """Log that something happened. `name` is fixed; what varies goes into `fields`, never data of a person."""
    _LOG.log(level, name, extra={_FIELDS: fields})


def request(method: str, route: str, status: int, milliseconds: float, request_id: str) -> None:
    """Log that a request was answered."""
    if not _REQUESTS.disabled:
        fields = {"method": method, "route": route, "status": status, "ms": round(milliseconds, 1), "id": request_id}
        _REQUESTS.info("request", extra={_FIELDS: fields})


def failure(error: BaseException, request_id: str) -> None:
    """Log an error that the program did not expect; `request_id` is what the caller was told."""
    _LOG.error("failure", exc_info=error, extra={_FIELDS: {"id": request_id}})


class JsonLines(logging.Formatter):
    """One JSON object per record."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": _message(record),
        }
        fields: Mapping[str, Field] = getattr(record, _FIELDS, {})
        line.update(fields)
        if record.exc_info and record.exc_info[1]:
            line["errors"] = list(_errors(record.exc_info[1]))
        return json.dumps(line, ensure_ascii=False)


def _message(record: logging.LogRecord) -> str:
    trusted = record.name.partition(".")[0] in _TRUSTED
    return (record.getMessage() if trusted else str(record.msg)).partition("\n")[0]


def _errors(error: BaseException | None) -> Iterator[dict[str, object]]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        kind = type(error)
        yield {"type": f"{kind.__module__}.{kind.__qualname__}", "at": _places(error.__traceback__)}
        error = error.__cause__ or error.__context__


def _places(at: TracebackType | None) -> list[str]:
    return [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in extract_tb(at)]
