"""How text is compared: without case, accents and superfluous blanks (https://hl7.org/fhir/R4/search.html#string)."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from hashlib import blake2b

LONGEST = 256
"""How much of a text is compared; the same for what is stored and what is asked for."""


def _folded(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def whole(text: str) -> str:
    """Text without case, accents and superfluous blanks, however long it is."""
    return " ".join((text.lower() if text.isascii() else _folded(text)).split())


@lru_cache(maxsize=8192)
def _normalise_short(text: str) -> str:
    return whole(text)[:LONGEST].rstrip()


def normalise(text: str) -> str:
    """Text as the index of strings holds it."""
    return _normalise_short(text) if len(text) <= LONGEST else _normalise_short.__wrapped__(text)


PART = "\x01"
"""What stands before a later part of a long text: no search for the start of a text finds it."""

LONGEST_PART = LONGEST // 2
"""How long a text may be that is looked for anywhere in others: parts begin at every multiple of it."""


def later_parts(text: str) -> list[str]:
    """Parts of a long text: whatever is no longer than LONGEST_PART stands in one of them, or in `normalise(text)`."""
    normal = whole(text)
    starts = range(LONGEST_PART, len(normal) - LONGEST_PART, LONGEST_PART)
    return [PART + normal[start : start + LONGEST] for start in starts]


LONGEST_TOKEN, LONGEST_URI = 200, 600
"""How long an indexed code, system or unit, and an indexed URI may be: rows of a PostgreSQL index have a limit."""

_DIGEST_BYTES = 16


def _shortened(text: str, longest: int) -> str:
    digest = blake2b(text.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return text[: longest - len(digest)] + digest


def token_key(text: str) -> str:
    """The text, or when it is very long its start and a digest: equal for equal texts, on both sides of a search."""
    return text if len(text) <= LONGEST_TOKEN else _shortened(text, LONGEST_TOKEN)


def uri_key(uri: str) -> str:
    return uri if len(uri) <= LONGEST_URI else _shortened(uri, LONGEST_URI)


_VERSIONED = re.compile(r"(https?://[^\s?#]+/[A-Za-z]+/[A-Za-z0-9\-.]{1,64})/_history/[A-Za-z0-9\-.]{1,64}")


def without_version(url: str) -> str:
    """A literal reference to a version on another server as one to the resource: searches do not tell them apart."""
    found = _VERSIONED.fullmatch(url)
    return found[1] if found else url
