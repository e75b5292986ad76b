"""What the stand-in EHR is told when it starts, and what may be changed while it runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

from app.errors import Malformed

AUTHS = ("none", "smart", "secret")
OUTPUTS = ("procedure", "observation", "none")

_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}
_duration = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|)").fullmatch


def seconds(text: str) -> float | None:
    """`2s`, `500ms`, `1m`, `2h` or plain seconds; None for `never`. Raises ValueError."""
    if text == "never":
        return None
    found = _duration(text)
    if found is None:
        raise ValueError(f"{text!r} is no duration such as 2s, 500ms, 1m or never")
    return float(found[1]) * _UNITS[found[2]]


@dataclass(frozen=True, slots=True)
class Options:
    """All times are seconds; None is never. Shares are from 0 to 1.

    `sender` is the FHIR base of the system that refers; nothing elsewhere is ever contacted but `client_jwks`, which is
    a URL or a file. `actor` is who answers there (`Organization/1`); blank: the owner of the Task. `poll` is how often
    a `light` receiver looks there for Tasks of its own. `misbehave` has a share for each fault. The rest of the fields
    bound what the faults do.
    """

    profile: str = "open"
    auth: str = "none"
    client_id: str = "careloop"
    client_jwks: str = ""
    client_secret: str = field(default="", repr=False)
    webhook_secret: str = field(default="", repr=False)
    token_lifetime: float = 300.0
    sender: str = "http://127.0.0.1:8000/fhir"
    actor: str = ""
    poll: float | None = 1.0
    accept_after: float | None = 2.0
    start_after: float | None = 2.0
    complete_after: float | None = 5.0
    reject_share: float = 0.0
    output: str = "procedure"
    seed: int = 0
    misbehave: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    latency: float = 3.0
    retry_after: float = 1.0
    drip_pause: float = 0.05


_SECRET = frozenset({"client_secret", "webhook_secret"})
_FIXED = _SECRET | {"profile", "auth"}
_DURATIONS = frozenset({"token_lifetime", "poll", "accept_after", "start_after", "complete_after"})
_DURATIONS_ALWAYS = frozenset({"latency", "retry_after", "drip_pause", "token_lifetime"})


def shown(options: Options) -> dict[str, Any]:
    """The options as JSON, without secrets."""
    told = {f.name: getattr(options, f.name) for f in fields(Options) if f.name not in _SECRET}
    return told | {"misbehave": dict(options.misbehave)}


def changed(options: Options, given: Mapping[str, Any]) -> Options:
    """The options with others in place, as JSON has them. Raises Malformed for one that may not change so."""
    known = {f.name for f in fields(Options)} - _FIXED
    for name, value in given.items():
        if name not in known or not _fits(name, value):
            raise Malformed(f"The option {name!r} is not known, cannot be changed, or has a value of another kind.")
    return replace(options, **given)


def _fits(name: str, value: Any) -> bool:
    if name == "misbehave":
        return isinstance(value, Mapping) and all(_is_share(share) for share in value.values())
    if name in _DURATIONS | _DURATIONS_ALWAYS:
        return (value is None and name not in _DURATIONS_ALWAYS) or (_is_number(value) and value >= 0)
    if name == "reject_share":
        return _is_share(value)
    if name == "seed":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, str) and (name != "output" or value in OUTPUTS)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1
