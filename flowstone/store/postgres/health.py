"""What is wrong with a database at present, what is tried again, and since when: for people to see."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import asyncpg

from flowstone.alarms import Alarms
from flowstone.store.postgres.problems import is_everywhere, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flowstone.store.postgres.address import Address

__all__ = ["DatabaseHealth"]

_SHOWN: Final = 3  # Of the things that are tried again.
_SILENCE: Final = 5.0  # Seconds without an answer that are a problem.


@dataclass(slots=True, eq=False)
class _Retried:
    """Something that failed and is tried again: what, since when, and why it failed last."""

    what: str
    since: datetime
    why: str


class DatabaseHealth:
    """Kept by whoever asks the database.

    Args:
        address: Where it is.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._problem: str | None = None
        self._alarms = Alarms()
        self._asked: dict[object, float] = {}
        self._retried: dict[object, _Retried] = {}

    @property
    def problem(self) -> str | None:
        """Why it does not answer, or refuses this user, and what is tried again since when; or None.

        A server that hangs says nothing; that is a problem too.
        """
        if self._retried:
            return self._retrial()
        if self._problem is None and self._asked:
            waited = asyncio.get_running_loop().time() - next(iter(self._asked.values()))
            if waited > _SILENCE:
                return (
                    f"{self._address} has not answered for {waited:.0f} s; check that it is up and not locked"
                )
        return self._problem

    def _retrial(self) -> str:
        first = next(iter(self._retried.values()))
        whats = list(dict.fromkeys(each.what for each in self._retried.values()))
        more = f" and {len(whats) - _SHOWN} more" if len(whats) > _SHOWN else ""
        what = ", ".join(whats[:_SHOWN]) + more
        return f"{self._problem or first.why} (tried again since {first.since:%H:%M:%S} UTC: {what})"

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Something is asked until the block ends; how long that has been is part of `problem`."""
        mark = object()
        self._asked[mark] = asyncio.get_running_loop().time()
        try:
            yield
        finally:
            del self._asked[mark]

    @contextmanager
    def retrying(self, what: str) -> Iterator[Callable[[BaseException], None]]:
        """Something is tried until it works, or the block ends; gives a function that notes why a try failed."""
        mark = object()

        def failed(error: BaseException) -> None:
            why = sentence(self._address, error)
            known = self._retried.setdefault(mark, _Retried(what, datetime.now(UTC), why))
            known.why = self._problem = why
            self._alarms.set("store", f"it does not answer and is tried again: {why}")

        try:
            yield failed
        finally:
            if self._retried.pop(mark, None) is not None and self._problem is None:
                self._over()

    def refused(self, error: BaseException) -> None:
        """Note that it answers, and refuses this user. What it refuses of a single question is the asker's."""
        if is_everywhere(error) or isinstance(error, asyncpg.InsufficientPrivilegeError):
            self._problem = sentence(self._address, error)

    def unrepaired(self, why: str) -> None:
        """Note that it was tried to start the database again."""
        self._problem = why

    def fine(self) -> None:
        """Note that it answers."""
        self._problem = None
        self._over()

    def _over(self) -> None:
        """Log that it answers again, unless it answers to some questions and others are still tried again."""
        if not self._retried:
            self._alarms.clear("store", f"it answers again: {self._address}")
