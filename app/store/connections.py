"""Connections to PostgreSQL, and the only commit.

`general` connections read by key and write; `search` connections plan every statement for its own values, because
search values are skewed (`plan_cache_mode`), and cannot starve the others. A connection is leased without the RESET
round trip of a pool: nothing here changes session state.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import asyncpg

from app.errors import Unavailable
from app.store.errors import translate, translate_search

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

Meaning = Callable[[BaseException], Exception | None]
Hint = Callable[[], None]

_MARKS: WeakKeyDictionary[Connection, set[str]] = WeakKeyDictionary()


def mark(connection: Connection, topic: str) -> None:
    """Have everybody who asked for the topic (`Connections.when`) told, once the open transaction is committed."""
    _MARKS.setdefault(connection, set()).add(topic)


_SERVER_SETTINGS = {
    "application_name": "careloop",
    "jit": "off",
    "timezone": "UTC",
    "synchronous_commit": "on",
    "idle_in_transaction_session_timeout": "120000",
}


class Lease:
    """`async with` takes a connection and gives it back; database errors leave as what they mean to its user."""

    __slots__ = ("_connection", "_group", "_meaning")

    def __init__(self, group: Group, meaning: Meaning = translate) -> None:
        self._group = group
        self._meaning = meaning
        self._connection: Connection | None = None

    async def __aenter__(self) -> Connection:
        self._connection = await self._group.take()
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._group.give_back(self._connection)
        if error is not None and (meant := self._meaning(error)) is not None:
            raise meant from error


class Transaction(Lease):
    """`async with` runs its block in one transaction: committed when the block ends, rolled back when it raises."""

    __slots__ = ("_told", "_transaction")

    def __init__(self, group: Group, told: Callable[[str], None]) -> None:
        super().__init__(group)
        self._told = told

    async def __aenter__(self) -> Connection:
        connection = await super().__aenter__()
        try:
            self._transaction = connection.transaction()
            await self._transaction.start()
        except BaseException as error:
            await super().__aexit__(type(error), error, None)
            raise
        return connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        try:
            await asyncio.shield(self._end(failed=error is not None))
        except Exception as ending:
            await super().__aexit__(type(ending), ending, at)
            raise
        await super().__aexit__(kind, error, at)

    async def _end(self, *, failed: bool) -> None:
        topics = _MARKS.pop(self._connection, ()) if self._connection is not None else ()
        if failed:
            await self._transaction.rollback()
            return
        await self._transaction.commit()
        for topic in topics:
            self._told(topic)


class Group:
    """Up to `size` connections that are opened when first needed and reopened when they break."""

    def __init__(self, dsn: str, size: int, *, wait: float, **connect: Any) -> None:
        self._dsn = dsn
        self._size = size
        self._wait = wait
        self._connect = connect
        self._open = 0
        self._idle: deque[Connection] = deque()
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> Connection:
        while True:
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    return connection
                self._open -= 1
            if self._open < self._size:
                return await self._new()
            await self._wait_for_one()

    async def _new(self) -> Connection:
        self._open += 1
        try:
            return await asyncpg.connect(self._dsn, **self._connect)
        except BaseException as error:
            self._open -= 1
            self._wake()
            if (meant := translate(error)) is not None:
                raise meant from error
            raise

    async def _wait_for_one(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            async with asyncio.timeout(self._wait):
                await future
        except BaseException as error:
            if not future.cancelled():
                self._wake()  # it was this one's turn: the next may have it
            if isinstance(error, TimeoutError):
                raise Unavailable("The server is overloaded.", headers={"Retry-After": "2"}) from None
            raise

    def give_back(self, connection: Connection) -> None:
        if connection.is_closed():
            self._open -= 1
        else:
            self._idle.append(connection)
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                return

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()


class Connections:
    """All connections of one process."""

    def __init__(
        self,
        dsn: str,
        *,
        general: int = 8,
        search: int = 4,
        wait: float = 10.0,
        statement_timeout: float = 30.0,
        search_timeout: float = 15.0,
    ) -> None:
        common = {"wait": wait, "statement_cache_size": 512}
        others = common | _limited(statement_timeout)
        searches = common | _limited(search_timeout, plan_cache_mode="force_custom_plan")
        self._general = Group(dsn, general, **others)
        self._search = Group(dsn, search, **searches)
        self._aside = Group(dsn, 1, **others)
        self._listening = Group(dsn, 1, **others)
        self._hints: dict[str, list[Hint]] = {}

    def lease(self) -> Lease:
        """A connection for single statements."""
        return Lease(self._general)

    def searching(self) -> Lease:
        """A connection for searches."""
        return Lease(self._search, translate_search)

    def aside(self) -> Lease:
        """A connection for what must be committed before a transaction that may be open goes on."""
        return Lease(self._aside)

    def transaction(self) -> Transaction:
        """A connection with an open transaction. The only commit of the program, besides single statements."""
        return Transaction(self._general, self._tell)

    def listening(self) -> Lease:
        """A connection to LISTEN on for as long as it lasts."""
        return Lease(self._listening)

    def when(self, topic: str, hint: Hint) -> None:
        """Call `hint` after every commit of this process that was marked with the topic. It must not raise or wait."""
        self._hints.setdefault(topic, []).append(hint)

    def _tell(self, topic: str) -> None:
        for hint in self._hints.get(topic, ()):
            hint()

    async def close(self) -> None:
        for group in (self._general, self._search, self._aside, self._listening):
            await group.close()


def _limited(seconds: float, **settings: str) -> dict[str, Any]:
    """How to connect so that PostgreSQL gives up a statement after so long; only if it does not, the client does."""
    limit = {"statement_timeout": str(max(1, int(seconds * 1000)))}
    return {"server_settings": _SERVER_SETTINGS | limit | settings, "command_timeout": seconds + 5}
