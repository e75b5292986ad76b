"""What a database error means: another try, a Problem for the client, or a fault of ours."""

from __future__ import annotations

import asyncio

import asyncpg

from app.errors import Issue, Malformed, Problem, Unavailable


class TryAgain(Exception):
    """Another transaction was in the way; the same request from its start may succeed."""


# https://www.postgresql.org/docs/current/errcodes-appendix.html
_TRY_AGAIN = {"40001", "40P01", "0A000", "23505"}
_BUSY = {"55P03": "A lock was not free in time.", "57014": "The database took too long."}
_TOO_COSTLY = (
    "The search takes too long. Ask for less: more conditions, a type, a narrower date, a smaller _count, no _total or "
    "_total=estimate, fewer chained parameters and includes."
)
_BAD_VALUE = {"22P05", "22021", "22P02", "22003", "54001", "54000"}


def translate(error: BaseException) -> Exception | None:
    """The exception to raise instead of a database error; None when it is a fault of ours."""
    if isinstance(error, asyncpg.PostgresError):
        return _by_state(error.sqlstate or "")
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError | OSError | asyncio.TimeoutError):
        # asyncpg has an internal error, too, for a connection whose end it has noticed a moment ago.
        return _unavailable()
    return None


def translate_search(error: BaseException) -> Exception | None:
    """The same for a search: one that takes too long is the client's to change, another try would take as long."""
    if isinstance(error, asyncpg.QueryCanceledError):
        return Malformed(issues=[Issue("too-costly", _TOO_COSTLY)])
    return translate(error)


def _by_state(state: str) -> Exception | None:
    if state in _TRY_AGAIN:
        return TryAgain(state)
    if state in _BUSY:
        return Unavailable(_BUSY[state], headers={"Retry-After": "2"})
    if state in _BAD_VALUE:
        return Malformed("A value cannot be stored or searched for.")
    if state[:2] in ("08", "53", "57") or state in ("25006", "XX000"):
        return _unavailable()
    return None


def _unavailable() -> Problem:
    return Unavailable("The database is not available.", headers={"Retry-After": "2"})
