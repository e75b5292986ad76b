"""When a delivery is tried again."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST = 4 * 3600.0
"""No pause between two attempts is longer, in seconds, unless the receiver asks for it."""

LONGEST_ASKED = 24 * 3600.0
"""The longest pause that a receiver can ask for with Retry-After."""

_STEPS = 16  # 4¹⁶ times any base is more than LONGEST


def delay(attempts: int, base: float, *, asked: float | None = None) -> float:
    """Seconds until the next attempt after so many. Full jitter: those who failed together do not come back together.

    A pause that the receiver `asked` for is kept, and is not shortened by chance.
    """
    drawn = random.uniform(0, min(LONGEST, base * 4 ** min(attempts, _STEPS)))  # noqa: S311
    return drawn if asked is None else max(drawn, asked)


def retry_after(header: str | None, now: datetime) -> float | None:
    """The pause that a Retry-After header asks for, in seconds (RFC 9110, 10.2.3); None when it says nothing usable."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_ASKED)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    seconds = (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds()
    return min(max(0.0, seconds), LONGEST_ASKED)
