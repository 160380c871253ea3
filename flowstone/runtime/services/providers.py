"""What may be passed as a resource, and who opens and closes it.

    given                                       the asset gets              opened and closed by
    a `ResourceProvider`, or its class          what `setup` returned       the runtime
    an `@asynccontextmanager` function          what it yields              the runtime
    a `@contextmanager` function                what it yields              the runtime, in one thread
    what such a function returned               what entering it gives      the runtime, once
    an object that can only be entered          what entering it gives      the runtime
    everything else                             the object                  whoever made it

Many objects that are useful by themselves are context managers as well: connections, files, clients, locks.
Whether one is open already cannot be seen, and what entering it means differs: a `sqlite3.Connection` begins a
transaction, a lock is taken, a client that is open refuses. So those are handed over as they are, and whoever
opened one closes it. Rejected: entering whatever can be entered, which would close a pool under its owner.
"""

from __future__ import annotations

import asyncio
import inspect
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from functools import partial
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from flowstone.assets.signature import innermost
from flowstone.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable


__all__ = ["ResourceProvider", "as_provider"]

T = TypeVar("T")


class ResourceProvider(Generic[T]):
    """Subclass it to give assets something with a lifetime: a connection pool, a client, a model.

    `setup` makes the resource, `teardown` ends it, `health` raises if it does not work. All run on the
    runtime's loop. A set-up that raises is tried again with back-off. Call the parameters what you like.
    """

    async def setup(self) -> T:
        """Make the resource."""
        raise TypeError(f"{type(self).__name__} must define `async def setup(self)`.")

    async def teardown(self, resource: T, /) -> None:
        """End the resource. Default: nothing."""

    async def health(self, resource: T, /) -> None:
        """Raise if the resource does not work. Default: it works."""


def as_provider(given: Any) -> ResourceProvider[Any]:
    """The provider for whatever was passed as a resource; the module's table says what becomes of what."""
    if isinstance(given, ResourceProvider):
        return given
    if isinstance(given, type) and issubclass(given, ResourceProvider):
        return given()
    if isinstance(given, FunctionType | MethodType | partial):
        return _from_function(given)
    kind = type(given)
    if _is_only_a_manager(kind):
        manager: Callable[[], Any] = partial(_itself, given)
        entered = _EnteredOnLoop(manager) if hasattr(kind, "__aenter__") else _EnteredInThread(manager)
        # Those of contextlib keep the generator they are made of, which runs once.
        return _Once(entered) if hasattr(given, "gen") else entered
    return _Plain(given)


def _from_function(given: Callable[..., Any]) -> ResourceProvider[Any]:
    generator = innermost(given)
    if inspect.isasyncgenfunction(generator):
        # Written without its decorator it can mean nothing else.
        return _EnteredOnLoop(asynccontextmanager(given) if inspect.isasyncgenfunction(given) else given)
    if inspect.isgeneratorfunction(generator):
        return _EnteredInThread(contextmanager(given) if inspect.isgeneratorfunction(given) else given)
    return _Plain(given)


def _is_only_a_manager(cls: type) -> bool:
    """Whether its objects have no use of their own, or are said to be context managers before all else."""
    if not all(hasattr(cls, name) for name in ("__aenter__", "__aexit__")) and not all(
        hasattr(cls, name) for name in ("__enter__", "__exit__")
    ):
        return False
    if AbstractContextManager in cls.__mro__ or AbstractAsyncContextManager in cls.__mro__:
        return True
    return not any(callable(getattr(cls, name, None)) for name in dir(cls) if not name.startswith("_"))


def _itself(manager: T) -> T:
    return manager


class _Plain(ResourceProvider[Any]):
    """An object that is simply there."""

    def __init__(self, value: Any) -> None:
        self._value = value

    async def setup(self) -> Any:
        return self._value


class _EnteredOnLoop(ResourceProvider[Any]):
    """What an asynchronous context manager gives; entered and left in one task, as anyio scopes demand."""

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
        self._make = make
        self._open: AbstractAsyncContextManager[Any] | None = None

    async def setup(self) -> Any:
        manager = self._make()
        value = await manager.__aenter__()
        self._open = manager
        return value

    async def teardown(self, _resource: Any, /) -> None:
        manager, self._open = self._open, None
        if manager is not None:
            await manager.__aexit__(None, None, None)


class _EnteredInThread(ResourceProvider[Any]):
    """What a synchronous context manager gives.

    Entered and left in one thread of its own: it may block, and what it opens may belong to its thread.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[Any]]) -> None:
        self._make = make
        self._open: AbstractContextManager[Any] | None = None
        self._thread: Threads | None = None

    async def setup(self) -> Any:
        self._thread = Threads(1, "flowstone-resource")
        try:
            value = await self._called(self._enter)
        except BaseException:
            self._close()
            raise
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # While it was entered, which nothing could stop.
            await self.teardown(value)
            raise asyncio.CancelledError
        return value

    async def teardown(self, _resource: Any, /) -> None:
        try:
            await self._called(self._leave)
        finally:
            self._close()

    def _enter(self) -> Any:
        manager = self._make()
        value = manager.__enter__()
        self._open = manager
        return value

    def _leave(self) -> None:
        manager, self._open = self._open, None
        if manager is not None:
            manager.__exit__(None, None, None)

    async def _called(self, function: Callable[[], Any]) -> Any:
        """Call it in the thread. What it raises is raised here, for whoever guards the provider."""
        assert self._thread is not None
        return await self._thread.start("resource", function).wait()

    def _close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()


class _Once(ResourceProvider[Any]):
    """One that cannot be set up again: whatever ended it the first time is the answer to every other."""

    def __init__(self, provider: ResourceProvider[Any]) -> None:
        self._provider = provider
        self._ended: BaseException | None = None

    async def setup(self) -> Any:
        if self._ended is not None:
            raise self._ended
        try:
            return await self._provider.setup()
        except BaseException as error:
            self._ended = error
            raise

    async def teardown(self, resource: Any, /) -> None:
        self._ended = RuntimeError(
            "it is a context manager that was entered and left; pass the function that makes it, without "
            "calling it, so that it can be entered again"
        )
        await self._provider.teardown(resource)
