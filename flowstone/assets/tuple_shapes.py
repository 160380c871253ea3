"""The types of a tuple's elements, where some of them may be repeated: `tuple[int, *tuple[str, ...]]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Unpack, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TupleShape", "is_unpacked"]


def is_unpacked(annotation: Any) -> bool:
    """Whether it is written with a star, and so stands for any number of types."""
    return get_origin(annotation) is Unpack or getattr(annotation, "__unpacked__", False) is True


class TupleShape(NamedTuple):
    """Elements at the beginning, elements that are repeated, and elements at the end.

    Attributes:
        first: The types of the elements at the beginning.
        repeated: The type of any number of elements that follow; absent if `is_open` is false.
        last: The types of the elements at the end, of which there are none unless it is open.
        is_open: Whether some are repeated.
    """

    first: tuple[Any, ...]
    repeated: Any
    last: tuple[Any, ...]
    is_open: bool

    @classmethod
    def of(cls, arguments: tuple[Any, ...]) -> TupleShape:
        """The shape of `tuple[*arguments]`."""
        if len(arguments) == 2 and arguments[1] is ...:
            return cls((), arguments[0], (), is_open=True)
        for position, each in enumerate(arguments):
            if is_unpacked(each):
                first, rest = arguments[:position], cls.of(arguments[position + 1 :])
                inner = _unpacked(each)
                if not inner.is_open:
                    return rest._replace(first=(*first, *inner.first, *rest.first))
                return inner._replace(
                    first=(*first, *inner.first), last=(*inner.last, *rest.first, *rest.last)
                )
        return cls(arguments, None, (), is_open=False)

    @property
    def shortest(self) -> int:
        """How many elements there are at least."""
        return len(self.first) + len(self.last)

    def at(self, length: int) -> tuple[Any, ...]:
        """The types of the elements of a tuple of this length."""
        return (*self.first, *(self.repeated,) * (length - self.shortest), *self.last)

    def always(self) -> tuple[Any, ...]:
        """The types that a tuple of this shape has elements of; if it may be empty, what it may be filled with."""
        return self.at(self.shortest or 1)

    def pairings(self, other: TupleShape) -> Iterator[list[tuple[Any, Any]]]:
        """The types at each place of both, for each length that both can have and that tells something new.

        The empty tuple is left out where it is not the only one.
        """
        least = max(self.shortest, other.shortest)
        most = self.shortest + other.shortest + 1
        for length in range(max(least, 1), most + 1) if self.is_open and other.is_open else (least,):
            fits = [shape.is_open or shape.shortest == length for shape in (self, other)]
            if all(fits):
                yield list(zip(self.at(length), other.at(length), strict=True))


def _unpacked(annotation: Any) -> TupleShape:
    """The shape of what a star stands before."""
    inner = get_args(annotation)[0] if get_origin(annotation) is Unpack else annotation
    if get_origin(inner) is tuple:
        return TupleShape.of(get_args(inner))
    return TupleShape((), Any, (), is_open=True)
