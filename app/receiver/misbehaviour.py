"""Misbehaving on demand.

The n-th request has the fault that the seed gives to the number n, so the same seed gives the same faults. One request
has one fault at most. Besides, a script can say which fault comes next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from app.errors import Malformed
from app.receiver.faults import FAULTS, App, Incident, Receive, Scope, Send
from app.receiver.options import Options

EXPOSED = ("/fhir", "/webhook", "/token")
"""The paths that can fail."""

_MOST_REMEMBERED = 10_000


def checked(shares: Mapping[str, float]) -> Mapping[str, float]:
    """Raises Malformed unless these are shares of known faults, and no more than all requests."""
    if unknown := shares.keys() - FAULTS.keys():
        raise Malformed(f"There is no fault {min(unknown)!r}: there are {', '.join(FAULTS)}.")
    if sum(share for name, share in shares.items() if FAULTS[name].run) > 1:
        raise Malformed("The shares of the faults are more than 1 together.")
    return shares


@dataclass(slots=True)
class Planned:
    """The next fault of a script, for the next request with this method below this path; None is none at all."""

    fault: str | None
    method: str = ""
    path: str = ""

    def fits(self, scope: Scope) -> bool:
        path: str = scope["path"]
        return self.method in ("", scope["method"]) and path.startswith(self.path)


def script(listed: Any) -> list[Planned]:
    """From JSON: names of faults, null, or objects with `fault`, `method` and `path`. Raises Malformed."""
    made = []
    for item in listed if isinstance(listed, list) else [listed]:
        given = item if isinstance(item, dict) else {"fault": item}
        fault = given.get("fault")
        texts = all(isinstance(given.get(name, ""), str) for name in ("method", "path"))
        if (fault is not None and (fault not in FAULTS or FAULTS[fault].run is None)) or not texts:
            raise Malformed("A script lists faults of requests by name, or objects with fault, method and path.")
        made.append(Planned(fault, given.get("method", ""), given.get("path", "")))
    return made


@dataclass(slots=True)
class Course:
    """How far it is: requests counted, what a script says comes next, and which faults were committed by number."""

    requests: int = 0
    next: deque[Planned] = field(default_factory=deque)
    done: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=_MOST_REMEMBERED))

    def restart(self) -> None:
        """Count from 0 again: the same seed gives the same faults again."""
        self.requests = 0
        self.done.clear()


@dataclass(frozen=True, slots=True)
class Misbehaving:
    """An ASGI application that misbehaves as the options of the moment say."""

    app: App
    course: Course
    options: Callable[[], Options]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(EXPOSED):
            await self.app(scope, receive, send)
            return
        options, number = self.options(), self.course.requests
        self.course.requests += 1
        chance = Random(f"{options.seed}/{number}")  # noqa: S311
        name = self._choose(scope, options, chance)
        run = FAULTS[name].run if name else None
        if name is None or run is None or not _makes_sense(scope, FAULTS[name].needs):
            await self.app(scope, receive, send)
            return
        self.course.done.append((number, name))
        await run(Incident(self.app, scope, receive, send, options, chance))

    def _choose(self, scope: Scope, options: Options, chance: Random) -> str | None:
        drawn = _drawn(options.misbehave, chance.random())
        planned = next((planned for planned in self.course.next if planned.fits(scope)), None)
        if planned is None:
            return drawn
        self.course.next.remove(planned)
        return planned.fault


def _drawn(shares: Mapping[str, float], number: float) -> str | None:
    for name, fault in FAULTS.items():
        if fault.run is not None:
            number -= shares.get(name, 0)
            if number < 0:
                return name
    return None


def _makes_sense(scope: Scope, needed: frozenset[bytes]) -> bool:
    """Whether a request has what the fault is about; only FHIR has."""
    return not needed or (scope["path"].startswith("/fhir") and any(name in needed for name, _ in scope["headers"]))
