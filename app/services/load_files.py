"""Files of FHIR content as a stream of requests: which files, in which order, and what to send for each resource."""

from __future__ import annotations

import bz2
import codecs
import gzip
import hashlib
import re
import zlib
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from app.errors import Invalid
from app.fhir import json
from app.fhir.references import is_valid_id

_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open}
_LINES = (".ndjson", ".jsonl")
_SUFFIXES = (".json", *_LINES)
# What others refer to: Synthea's hospitals and practitioners.
_FIRST = re.compile(r"0-|hospitalInformation|practitionerInformation")
_is_name = re.compile(r"[A-Za-z]{1,64}").fullmatch
_AS_IT_IS = ("transaction", "batch")
_SPLIT = ("collection", "searchset")


class Unreadable(Exception):
    """A file, or a line of one, that holds nothing to send; the message says why, without content."""


@dataclass(frozen=True, slots=True)
class Request:
    """`place` says where in its file the content stands. `types` has the resource type of each entry, by its number.

    `repeatable` is whether sending it twice does no more than sending it once.
    """

    place: str
    method: str
    url: str
    body: bytes
    types: Mapping[int, str]
    batch: bool = False
    repeatable: bool = False

    def without(self, taken: Container[int]) -> Request:
        """The same batch with the entries that are still to be taken."""
        bundle = json.loads(self.body)
        numbered = zip(self.types.items(), bundle["entry"], strict=True)
        left = [(item, entry) for item, entry in numbered if item[0] not in taken]
        body = json.dumps(bundle | {"entry": [entry for _, entry in left]})
        return replace(self, body=body, types=dict(item for item, _ in left))


def find(paths: Iterable[Path]) -> list[Path]:
    """The files named, and those in the directories named, in order of their names. Raises FileNotFoundError."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(inner for inner in path.rglob("*") if inner.is_file() and _plain_suffix(inner) in _SUFFIXES)
        elif path.is_file():
            found.append(path)
        else:
            raise FileNotFoundError(path)
    return list(dict.fromkeys(found))


def stages(files: Iterable[Path]) -> list[list[Path]]:
    """The files in two groups: the first must be loaded before the second starts."""
    listed = list(files)
    first = [path for path in listed if _FIRST.match(path.name)]
    return [first, [path for path in listed if path not in first]]


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def requests(path: Path) -> Iterator[Request | Unreadable]:
    """What to send for a file, in its order."""
    try:
        with _opened(path) as file:
            if _plain_suffix(path) in _LINES:
                for number, line in enumerate(file, 1):
                    yield from _for_text(line, f"line {number}") if line.strip() else ()
            else:
                yield from _for_text(file.read(), "")
    except (OSError, EOFError, zlib.error) as error:
        yield Unreadable(f"the file cannot be read: {type(error).__name__}")


def _plain_suffix(path: Path) -> str:
    suffixes = path.suffixes
    return "".join(suffixes[-2:-1] if suffixes and suffixes[-1] in _OPENERS else suffixes[-1:]).lower()


def _opened(path: Path) -> IO[bytes]:
    opened: IO[bytes] = _OPENERS.get(path.suffix, Path.open)(path, "rb")
    return opened


def _for_text(text: bytes, place: str) -> Iterator[Request | Unreadable]:
    plain = text.removeprefix(codecs.BOM_UTF8)
    try:
        resource = json.loads(plain)
    except Invalid as error:
        yield _unreadable(place, str(error))
        return
    yield from _for_resource(resource, plain, place)


def _for_resource(resource: Any, text: bytes | None, place: str) -> Iterator[Request | Unreadable]:
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    if not isinstance(kind, str):
        yield _unreadable(place, "not a FHIR resource")
    elif kind == "Bundle" and resource.get("type") in _AS_IT_IS:
        entries = _entries(resource)
        types, body = dict(enumerate(map(_entry_type, entries))), text or json.dumps(resource)
        yield Request(place, "POST", "", body, types, resource["type"] == "batch", all(map(_is_repeatable, entries)))
    elif kind == "Bundle" and resource.get("type") in _SPLIT:
        for number, entry in enumerate(_entries(resource)):
            where = f"{place} entry {number}".strip()
            yield from _for_resource(entry.get("resource") if isinstance(entry, dict) else None, None, where)
    elif not _is_name(kind) or not _is_id(resource.get("id")):
        yield _unreadable(place, "its resourceType or its id is none of FHIR")
    elif resource.get("id") is not None:
        url = f"{kind}/{resource['id']}"
        yield Request(place, "PUT", url, text or json.dumps(resource), {0: kind}, repeatable=True)
    else:
        yield Request(place, "POST", kind, text or json.dumps(resource), {0: kind})


def _unreadable(place: str, why: str) -> Unreadable:
    return Unreadable(f"{place}: {why}" if place else why)


def _entries(bundle: dict[str, Any]) -> list[Any]:
    entries = bundle.get("entry", [])
    return entries if isinstance(entries, list) else []


def _is_id(given: Any) -> bool:
    return given is None or (isinstance(given, str) and is_valid_id(given))


def _is_repeatable(entry: Any) -> bool:
    """Whether an entry finds what it has done before: everything does but a create without a condition, and a patch."""
    request = entry.get("request") if isinstance(entry, dict) else None
    if not isinstance(request, dict):
        return False
    method, condition = request.get("method"), request.get("ifNoneExist")
    return method in ("PUT", "DELETE", "GET", "HEAD") or (method == "POST" and bool(condition))


def _entry_type(entry: Any) -> str:
    """The resource type that an entry of a batch or transaction is about."""
    resource = entry.get("resource") if isinstance(entry, dict) else None
    if isinstance(resource, dict) and isinstance(resource.get("resourceType"), str):
        return str(resource["resourceType"])
    request = entry.get("request", {}) if isinstance(entry, dict) else {}
    return re.split(r"[/?]", str(request.get("url", "")) if isinstance(request, dict) else "")[0]
