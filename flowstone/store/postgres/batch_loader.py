"""Many small questions of one turn of the loop as one query.

A thousand steps that look for their inputs at the same time would be a thousand round trips, each of which costs
this process more than it costs the database. Questions gather while a query is under way; the next query asks
all of them. A lone question is asked at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from flowstone.errors import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence

__all__ = ["BatchLoader"]

K = TypeVar("K")
V = TypeVar("V")

_MOST: Final = 5_000  # Keys of one query.


class BatchLoader(Generic[K, V]):
    """One kind of question.

    Args:
        ask: Answers for many keys; keys without an answer are left out.
        start: Starts a task that nobody's cancel reaches.
    """

    def __init__(
        self,
        ask: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]],
        start: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self._ask = ask
        self._start = start
        self._waiting: list[tuple[tuple[K, ...], asyncio.Future[dict[K, V]]]] = []
        self._busy = False

    async def __call__(self, keys: Iterable[K]) -> dict[K, V]:
        """The answers for these keys."""
        wanted = tuple(keys)
        if not wanted:
            return {}
        if not self._busy:
            self._start(self._run())  # Raises where the store is not open; then nobody is busy.
            self._busy = True
        answer: asyncio.Future[dict[K, V]] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, answer))
        return await answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._answer(self._take())
        finally:
            self._busy = False
            self._fail(self._waiting, StoreUnavailable("the store was closed while it was asked"))
            self._waiting = []

    def _take(self) -> list[tuple[tuple[K, ...], asyncio.Future[dict[K, V]]]]:
        total = 0
        for place, (wanted, _) in enumerate(self._waiting):
            total += len(wanted)
            if total > _MOST and place:
                taken, self._waiting = self._waiting[:place], self._waiting[place:]
                return taken
        taken, self._waiting = self._waiting, []
        return taken

    async def _answer(self, asked: list[tuple[tuple[K, ...], asyncio.Future[dict[K, V]]]]) -> None:
        try:
            found = await self._ask(list(dict.fromkeys(key for wanted, _ in asked for key in wanted)))
        except Exception as error:
            self._fail(asked, error)
            return
        except BaseException:
            self._fail(asked, StoreUnavailable("the store was closed while it was asked"))
            raise
        for wanted, answer in asked:
            if not answer.done():
                answer.set_result({key: found[key] for key in wanted if key in found})

    @staticmethod
    def _fail(asked: Iterable[tuple[Any, asyncio.Future[Any]]], error: BaseException) -> None:
        for _, answer in asked:
            if not answer.done():
                answer.set_exception(error)
