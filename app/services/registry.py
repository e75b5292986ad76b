"""Everything that services add to the engine, in one table."""

from __future__ import annotations

from app.interactions.extensions import Extensions


def extensions() -> Extensions:
    return Extensions(operations={}, queries={}, governed={})
