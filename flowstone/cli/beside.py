"""Work beside a block: started with it, stopped after it, and what the block raises comes out as it is."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

__all__ = ["beside"]


@contextlib.asynccontextmanager
async def beside(*works: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run `works` while the block runs.

    A task group alone would wrap the block's exception in an `ExceptionGroup`, so `except RunFailed` around
    it would not see a failed run. If one of the works fails, the block is cancelled and the failure raised.
    """
    raised: BaseException | None = None
    async with anyio.create_task_group() as group:
        for work in works:
            group.start_soon(work)
        try:
            yield
        except BaseException as error:
            raised = error
        group.cancel_scope.cancel()
    if raised is not None:
        raise raised
