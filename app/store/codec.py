"""How a body is stored: compact JSON with a slot in its meta, compressed with a shipped zstd dictionary.

The slot is the byte 0x01 right after `"meta":{` (JSON cannot contain that byte). The database decides version and time
at commit; reading joins them into the slot, so no body is ever parsed to be read. Each frame names its dictionary, so
dictionaries can be added but never removed.
"""

from __future__ import annotations

import threading
from datetime import datetime
from functools import cache
from hashlib import blake2b
from importlib import resources

import orjson
import zstandard

from app.fhir.json import dumps
from app.fhir.types import Json

SLOT = b"\x01"
_LEVEL = 3
_THREAD = threading.local()


@cache
def _dictionary() -> zstandard.ZstdCompressionDict:
    raw = resources.files("app.store.dictionaries").joinpath("1.zstd-dict").read_bytes()
    dictionary = zstandard.ZstdCompressionDict(raw)
    dictionary.precompute_compress(level=_LEVEL)
    return dictionary


def _tools() -> tuple[zstandard.ZstdCompressor, zstandard.ZstdDecompressor]:
    """One compressor and decompressor a thread: they are fast when reused and not safe to share."""
    try:
        tools: tuple[zstandard.ZstdCompressor, zstandard.ZstdDecompressor] = _THREAD.tools
    except AttributeError:
        compressor = zstandard.ZstdCompressor(dict_data=_dictionary(), write_checksum=False)
        tools = _THREAD.tools = (compressor, zstandard.ZstdDecompressor(dict_data=_dictionary()))
    return tools


def template(resource: Json, id_: str) -> bytes:
    """The bytes to store: type, id and meta first, with the slot for version and time; all else as it was sent."""
    meta = resource.get("meta") or {}
    kept = {key: value for key, value in meta.items() if key not in ("versionId", "lastUpdated")}
    slot = orjson.Fragment(b"{\x01," + dumps(kept)[1:] if kept else b"{\x01}")
    head = {"resourceType": resource["resourceType"], "id": id_, "meta": slot}
    return dumps(head | resource | head)


def digest(body: bytes) -> bytes:
    """Identifies a body: two writes with the same digest are the same write."""
    return blake2b(body, digest_size=16).digest()


def compress(body: bytes) -> bytes:
    return _tools()[0].compress(body)


def decompress(stored: bytes) -> bytes:
    return _tools()[1].decompress(stored)


def instant(at: datetime) -> str:
    """A FHIR instant in UTC with milliseconds. `at` must be in UTC."""
    return at.isoformat(timespec="milliseconds")[:23] + "Z"


def with_meta(body: bytes, version: int, last_updated: datetime) -> bytes:
    """The JSON of one version of a resource."""
    return body.replace(SLOT, f'"versionId":"{version}","lastUpdated":"{instant(last_updated)}"'.encode(), 1)
