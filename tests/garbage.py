"""What is left for the garbage collector: objects in cycles, which cost every program beside them a pause."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Awaitable, Callable

__all__ = ["garbage_of"]


async def garbage_of(action: Callable[[], Awaitable[object]], times: int = 5) -> Counter[str]:
    """The kinds of the objects that only the collector frees after `action()` ran so many times.

    It runs before that as well, so that what is made once and kept is there.
    """
    await action()
    gc.disable()
    gc.collect()
    gc.freeze()  # What is there by now is of no interest, and need not be looked at again.
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(times):
            await action()
        gc.collect()
        return Counter(type(each).__name__ for each in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
