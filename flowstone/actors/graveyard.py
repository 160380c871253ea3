"""Where killed coroutines go: they are closed, and one that does not let itself be closed is kept for ever.

Python closes a suspended coroutine that it throws away, and one that swallows `GeneratorExit` makes it complain.
Worse, thrown away when its event loop is gone, every `await` in it fails at once, so that code which swallows
whatever it meets and tries again runs round and round, at the latest when the interpreter exits, and holds the
exit. So Python must not throw it away: not even then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from contextvars import Context

__all__ = ["bury"]


def bury(coroutine: Coroutine[Any, Any, Any], context: Context) -> BaseException | None:
    """Close a killed coroutine, so that its `finally` blocks run as far as they need no await.

    Returns what it raised, unless that is how it refused to be closed. An outer coroutine may hide that an inner
    one refused, so each is looked at.
    """
    chain = list(_awaiting(coroutine))
    failed: BaseException | None = None
    try:
        context.run(coroutine.close)
    except BaseException as error:
        failed = error
    undead = [each for each in chain if _alive(each)]
    for each in undead:
        _keep_for_ever(each)
    return None if undead else failed


def _awaiting(coroutine: Any) -> Iterator[Any]:
    """The coroutine, the one it awaits, and so on."""
    while coroutine is not None and hasattr(coroutine, "close"):
        yield coroutine
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)


def _alive(coroutine: Any) -> bool:
    """Whether a coroutine or generator could still be resumed, or stands for one that could."""
    if type(coroutine).__name__.startswith("async_generator_a"):
        return True  # A step of an async generator: closing it leaves the generator as it is.
    frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
    return frame is not None


def _keep_for_ever(thing: object) -> None:
    """A reference that nobody gives back: any list of ours is emptied when the interpreter exits."""
    import ctypes  # noqa: PLC0415 - almost no program ever needs it

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
