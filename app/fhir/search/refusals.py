"""Why a parameter cannot be read. Inside the parser only: `parse_query` gathers all of them into one Malformed."""

from __future__ import annotations

import re

from app.errors import Issue

_NAME = re.compile(r"[\w.:\-]{1,100}", re.ASCII)


class Refused(Exception):
    """A modifier or a value that cannot be understood. The text names the parameter and never the value."""

    code = "invalid"

    @property
    def issue(self) -> Issue:
        return Issue(self.code, str(self))


class NotSupported(Refused):
    """Part of R4, but not of this release."""

    code = "not-supported"


class TooCostly(Refused):
    """More than one search may ask for."""

    code = "too-costly"


class UnknownParameter(NotSupported):
    """A parameter as a whole that is not known or not supported: lenient handling leaves it out."""


def shown(name: str) -> str:
    """A parameter's name for a message, unless it looks like none: it might be a value in the wrong place."""
    return f"'{name}'" if _NAME.fullmatch(name) else "with an unreadable name"
