"""Who is asking."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller. `name` appears in logs and later in the audit."""

    name: str


ADMINISTRATOR = Principal("administrator")
"""Every caller, while authentication is off."""
