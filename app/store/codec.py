"""How a body is stored: compact JSON with a slot in its meta, compressed with a shipped zstd dictionary.

The slot is the byte 0x01 right after `"meta":{` (JSON cannot contain that byte). The database decides version and time
at commit; reading joins them into the slot, so no body is ever parsed to be read. Each frame names its dictionary, so
dictionaries can be added but never removed.
"""

from __future__ import annotations

import threading
from datetime import datetime
from functools import cache
from hashlib import sha256
from importlib import resources

import zstandard

from app.fhir.bundles import instant
from app.fhir.json import dumps
from app.fhir.types import Json

SLOT = b"\x01"
_LEVEL = 3
_BEFORE_META = '{"resourceType":"","id":"","meta":{'
_NO_META: Json = {}
_OURS = frozenset({"versionId", "lastUpdated"})
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
    type_name = resource["resourceType"]
    kept = {k: v for k, v in resource.get("meta", _NO_META).items() if k not in _OURS}
    whole = {"resourceType": type_name, "id": id_, "meta": kept}
    whole.update(resource)
    whole["id"], whole["meta"] = id_, kept
    body = dumps(whole)
    slot = len(_BEFORE_META) + len(type_name) + len(id_)
    return b"".join((body[:slot], SLOT, b"," if kept else b"", body[slot:]))


def digest(body: bytes) -> bytes:
    """Identifies a body: two writes with the same digest are the same write."""
    return sha256(body).digest()[:16]


def compress(body: bytes) -> bytes:
    return _tools()[0].compress(body)


def decompress(stored: bytes) -> bytes:
    return _tools()[1].decompress(stored)


def with_meta(body: bytes, version: int, last_updated: datetime) -> bytes:
    """The JSON of one version of a resource."""
    return body.replace(SLOT, f'"versionId":"{version}","lastUpdated":"{instant(last_updated)}"'.encode(), 1)
