"""What code logs and prints is heard where it is said, and goes on to where it would go without us.

    logging         every record that a logger emits, by way of `Logger.callHandlers`
    sys.stdout      text that is written to it, as `print` does, by way of a `Tee` in its place
    sys.stderr      likewise

Whose code speaks is asked of the context it runs in (`keeper`). Nobody's is heard of nobody, and then this costs a
look at the context.

Records are heard where a logger hands them to its handlers. Rejected: a handler on the root logger, which does not
hear loggers that do not propagate, goes with the next `dictConfig`, keeps a later `basicConfig` from doing
anything, and silences the standard library's handler of last resort; and a factory of records, which knows neither
`extra` nor what a logger's filters make of a record. What handlers write or log while they handle a record is a
second copy of it, and is not heard.

All runtimes of a process share one `LogCapture`, which the first one puts in place and the last one takes away. If
somebody has put something else in its place or around it meanwhile, that stays, and the capture hears nothing.
"""

from __future__ import annotations

import logging
import sys
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, Self, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Keeper", "LogCapture", "Stream"]

Stream: TypeAlias = Literal["stdout", "stderr"]

_PLACES: Final = threading.Lock()
_HEARD: ContextVar[bool] = ContextVar("flowstone_heard", default=False)
"""Whether what is written now was heard already: a handler writes, or a stream that stands behind another one."""


class Keeper(Protocol):
    """Who keeps what the code of one attempt says; called on the thread that says it, and never raises."""

    def hear(self, record: logging.LogRecord) -> None:
        """A logger has emitted a record."""

    def printed(self, stream: Stream, text: str) -> None:
        """Text was written to a stream: any part of a line, or several."""


class LogCapture:
    """Hears what is said in this process.

    Args:
        keeper: Says who keeps what is said by the code that runs; None for nobody.
    """

    def __init__(self, keeper: Callable[[], Keeper | None]) -> None:
        self._keeper = keeper
        self._users = 0
        self._before = logging.Logger.callHandlers
        self._hook = _hook(self._before, keeper)
        self._hook.capture = self

    @classmethod
    def adopt(cls, keeper: Callable[[], Keeper | None]) -> Self:
        """The capture of this process, put in place if need be, until it has been released as often."""
        with _PLACES:
            found = getattr(logging.Logger.callHandlers, "capture", None)
            if found is None:
                found = cls(keeper)
                logging.Logger.callHandlers = found._hook  # type: ignore[method-assign] # see the module
            found._users += 1
            found._stand_before("stdout")
            found._stand_before("stderr")
            return found

    def release(self) -> None:
        """Leave what is heard once nobody needs it any more."""
        with _PLACES:
            self._users -= 1
            if self._users > 0:
                return
            if logging.Logger.callHandlers is self._hook:
                logging.Logger.callHandlers = self._before  # type: ignore[method-assign] # as above
            for name in ("stdout", "stderr"):
                stream = getattr(sys, name)
                if type(stream) is Tee:
                    setattr(sys, name, stream.stream)

    def _stand_before(self, name: Stream) -> None:
        stream = getattr(sys, name)
        if stream is not None and type(stream) is not Tee:
            setattr(sys, name, Tee(stream, name, self._keeper))


class Tee:
    """A text stream that is another one, and lets whoever keeps it hear what is written.

    Attributes:
        stream: The other one. Whatever is asked of this one is asked of that.
    """

    def __init__(self, stream: Any, name: Stream, keeper: Callable[[], Keeper | None]) -> None:
        self.stream = stream
        self._name: Stream = name
        self._keeper = keeper

    def write(self, text: str) -> int:
        """Write the text."""
        keeper = self._keeper()
        if keeper is None or _HEARD.get():
            written: int = self.stream.write(text)
            return written
        if isinstance(text, str):
            keeper.printed(self._name, text)
        token = _HEARD.set(True)
        try:
            written = self.stream.write(text)
        finally:
            _HEARD.reset(token)
        return written

    def writelines(self, lines: Any) -> None:
        """Write one text after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in {"stream", "_name", "_keeper"}:
            object.__setattr__(self, name, value)
        else:
            setattr(self.stream, name, value)

    def __iter__(self) -> Any:
        return iter(self.stream)

    def __enter__(self) -> Self:
        self.stream.__enter__()
        return self

    def __exit__(self, *how: object) -> Any:
        return self.stream.__exit__(*how)

    def __eq__(self, other: object) -> bool:
        """It is equal to the other one: handlers that were made before write to that."""
        return bool(self.stream == (other.stream if isinstance(other, Tee) else other))

    def __hash__(self) -> int:
        return hash(self.stream)

    def __repr__(self) -> str:
        return repr(self.stream)


def _hook(
    before: Callable[[logging.Logger, logging.LogRecord], None], keeper_of: Callable[[], Keeper | None]
) -> Any:
    """What stands in the place of `Logger.callHandlers`."""

    def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
        keeper = keeper_of()
        if keeper is None or _HEARD.get():
            before(logger, record)
            return
        token = _HEARD.set(True)
        try:
            keeper.hear(record)
            before(logger, record)
        finally:
            _HEARD.reset(token)

    return call_handlers
