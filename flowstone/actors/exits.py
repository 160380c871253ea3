"""Why something in the tree ended: OTP's exit reasons as four small values."""

from __future__ import annotations

from dataclasses import field
from typing import ClassVar, final

from flowstone.frozen import frozen

__all__ = ["Crashed", "Exit", "Killed", "Normal", "Shutdown", "describe"]

_LONGEST = 500


class Exit:
    """Why an actor, task or supervisor ended: `Normal`, `Shutdown`, `Killed` or `Crashed(error)`."""

    __slots__ = ()

    clean: ClassVar[bool] = False
    """True for `Normal` and `Shutdown`: a transient child is not restarted after them."""


@final
@frozen
class Normal(Exit):
    """It finished by itself."""

    clean: ClassVar[bool] = True

    def __str__(self) -> str:
        return "normal"


@final
@frozen
class Shutdown(Exit):
    """It was asked to stop and did, or it is a supervisor that gave up.

    Attributes:
        reason: What led to it, where known: a supervisor that gave up puts its `SupervisorGaveUp` here.
            Two shutdowns are equal whatever their reasons.
    """

    clean: ClassVar[bool] = True
    reason: object = field(default=None, compare=False)

    def __str__(self) -> str:
        if isinstance(self.reason, BaseException):
            return f"shutdown: {describe(self.reason)}"
        return "shutdown"


@final
@frozen
class Killed(Exit):
    """It was still there when its shutdown time was over, or its `shutdown` is "kill"."""

    def __str__(self) -> str:
        return "killed"


@final
@frozen
class Crashed(Exit):
    """It raised.

    Attributes:
        error: What it raised: any BaseException, `SystemExit` and a stray `CancelledError` as well.
    """

    error: BaseException

    def __str__(self) -> str:
        return f"crashed: {describe(self.error)}"

    def __repr__(self) -> str:
        return f"Crashed({describe(self.error)})"


def describe(error: BaseException) -> str:
    """The error in one line of bounded length, whatever its `__str__` does.

    User code writes that `__str__`: it may raise SystemExit or return 100 MB.
    """
    kind = type(error).__name__
    try:
        text = str(error)[:_LONGEST]
    except BaseException as broken:
        return f"{kind} (its __str__ raised {type(broken).__name__})"
    line = " ".join(text.split())
    return f"{kind}: {line}" if line else kind
