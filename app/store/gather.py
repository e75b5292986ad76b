"""What many requests ask of the database in the same moment, asked at once.

While as many calls as there are lanes are under way the next one gathers, so that a call grows with the load and an
idle server waits for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Gather(Generic[Item, Result]):
    """Calls `run` with a list of items; it answers with a result each, in their order.

    When `run` raises what may be the fault of a single item, each item is run alone: nobody else pays for it. `whole`
    are the exceptions that concern all of them.
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        lanes: int = 2,
        largest: int = 128,
        whole: tuple[type[Exception], ...] = (),
    ) -> None:
        self._run = run
        self._lanes = lanes
        self._largest = largest
        self._whole = whole
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._running: set[asyncio.Task[None]] = set()

    def __call__(self, item: Item) -> asyncio.Future[Result]:
        """The result of one item, once its call is done."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, future))
        if len(self._waiting) == 1 and len(self._running) < self._lanes:
            loop.call_soon(self._start)
        return future

    def _start(self) -> None:
        while self._waiting and len(self._running) < self._lanes:
            batch, self._waiting = self._waiting[: self._largest], self._waiting[self._largest :]
            task = asyncio.get_running_loop().create_task(self._answer(batch))
            self._running.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._start()

    async def _answer(self, batch: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._run([item for item, _ in batch])
        except BaseException as error:
            if len(batch) > 1 and isinstance(error, Exception) and not isinstance(error, self._whole):
                for one in batch:
                    await self._answer([one])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
