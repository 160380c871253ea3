"""Everything an asset might raise, each by name: `make(name)` gives a fresh one.

Importable by name, so that assets in worker processes raise the very same.
"""

from __future__ import annotations

import asyncio

from flowstone import Permanent, Retryable

__all__ = ["BASE_ONLY", "CANCELS", "CATALOGUE", "MADE_BY_PYTHON", "UNASKABLE", "make", "type_name"]


class StrRaises(Exception):
    """Its text cannot be read."""

    def __str__(self):
        raise ValueError("no text for you")

    __repr__ = __str__


class StrExits(Exception):
    """Reading its text ends the process, if nobody is careful."""

    def __str__(self):
        raise SystemExit(3)

    __repr__ = __str__


class StrIsNoText(Exception):
    """Its text is a number."""

    def __str__(self):
        return 7  # noqa: PLE0307 - that is what makes it hostile


class Poison(str):
    """Text whose every operation raises."""

    __slots__ = ()

    def _refuse(self, *_):
        raise SystemExit("a poisoned text")

    __len__ = __format__ = __getitem__ = __add__ = __radd__ = __eq__ = __iter__ = __repr__ = _refuse
    __hash__ = str.__hash__


class StrIsPoisoned(Exception):
    """Its text is of a subclass of str."""

    def __str__(self):
        return Poison("poison")


class Liar(Exception):
    """It refuses to say what it is."""

    @property
    def __class__(self):
        raise SystemExit("who asks?")


class Changeling(Exception):
    """It says that it is a `Permanent`."""

    @property
    def __class__(self):
        return Permanent


class NamelessType(type):
    """A metaclass whose classes have no name."""

    @property
    def __name__(cls):
        raise SystemExit("no name")


class Nameless(Exception, metaclass=NamelessType):
    """Its type has no name."""


class Secretive(Exception):
    """No attribute of it can be read."""

    def __getattribute__(self, name):
        raise SystemExit(f"{name} is secret")


class AfterRaises(Retryable):
    """Its `after` cannot be read."""

    @property
    def after(self):
        raise SystemExit("when?")

    @after.setter
    def after(self, value):
        pass


class Unpicklable(Exception):
    """It holds something no process can receive."""

    def __init__(self):
        super().__init__("unpicklable")
        self.lock = asyncio.Lock

    def __reduce__(self):
        raise TypeError("not to be pickled")


class TwoArguments(Exception):
    """Unpickling it fails: the classic mistake."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def with_notes(error, *notes):
    """An exception with notes that are not even text."""
    error.__notes__ = list(notes)
    return error


def in_a_circle():
    """Two exceptions that are each other's cause."""
    first, second = ValueError("hen"), ValueError("egg")
    first.__cause__, second.__cause__ = second, first
    return first


def far_led():
    """An exception at the end of a long history."""
    error = ValueError("the first")
    for number in range(3000):
        following = ValueError(f"number {number}")
        following.__context__ = error
        error = following
    return error


def crowd():
    """A group of very many, nested."""
    return ExceptionGroup("crowd", [ExceptionGroup("inner", [ValueError(str(n)) for n in range(2000)])])


CATALOGUE = {
    "Exception": lambda: Exception("plain"),
    "ValueError": lambda: ValueError("wrong value"),
    "OSError": lambda: OSError(28, "No space left on device"),
    "KeyError": lambda: KeyError("missing"),
    "AssertionError": AssertionError,
    "TimeoutError": lambda: TimeoutError("the asset's own"),
    "StopIteration": lambda: StopIteration(1),
    "StopAsyncIteration": lambda: StopAsyncIteration(1),
    "GeneratorExit": lambda: GeneratorExit("leaving"),
    "SystemExit": lambda: SystemExit(3),
    "SystemExit text": lambda: SystemExit("goodbye"),
    "KeyboardInterrupt": KeyboardInterrupt,
    "CancelledError": lambda: asyncio.CancelledError("by myself"),
    "MemoryError": lambda: MemoryError("no more"),
    "RecursionError": lambda: RecursionError("too deep"),
    "BaseException": lambda: BaseException("bare"),
    "BaseExceptionGroup": lambda: BaseExceptionGroup("both", [SystemExit(1), ValueError("and")]),
    "ExceptionGroup": lambda: ExceptionGroup("two", [ValueError("one"), TypeError("two")]),
    "Permanent": lambda: Permanent("never again"),
    "Retryable": lambda: Retryable("later", after=0.0),
    "after raises": lambda: AfterRaises("later"),
    "after is nan": lambda: Retryable("later", after=float("nan")),
    "after is huge": lambda: Retryable("later", after=10**400),
    "str raises": StrRaises,
    "str exits": StrExits,
    "str is no text": StrIsNoText,
    "str is poisoned": StrIsPoisoned,
    "lies": Liar,
    "changeling": Changeling,
    "nameless": Nameless,
    "secretive": Secretive,
    "unpicklable": Unpicklable,
    "two arguments": lambda: TwoArguments(1, 2),
    "huge": lambda: ValueError("x" * 20_000_000),
    "surrogates": lambda: ValueError("\ud800 \x00 \U0001f4a5"),
    "notes": lambda: with_notes(ValueError("noted"), StrExits(), 3, "\x00"),
    "notes are none": lambda: with_notes(ValueError("noted")),
    "circle": in_a_circle,
    "far led": far_led,
    "crowd": crowd,
    "UnicodeDecodeError": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    "SyntaxError": lambda: SyntaxError("bad", ("<text>", 1, 99, "x" * 10, 1, 999)),
}

BASE_ONLY = (
    "GeneratorExit",
    "SystemExit",
    "SystemExit text",
    "KeyboardInterrupt",
    "CancelledError",
    "BaseException",
    "BaseExceptionGroup",
)
"""Those that are no `Exception`: a policy for exceptions never retries them."""

CANCELS = ("CancelledError",)
"""Those that an asset that cancelled itself ends in."""

MADE_BY_PYTHON = {"StopIteration": "RuntimeError"}
"""What Python itself makes of an exception that leaves a coroutine."""

UNASKABLE = ("lies", "secretive")
"""Those that a retry policy cannot ask what they are: never retried."""


def make(name):
    """A fresh exception of that name."""
    return CATALOGUE[name]()


def type_name(name):
    """The name of its type, as the interpreter knows it."""
    return type.__dict__["__name__"].__get__(type(make(name)))
