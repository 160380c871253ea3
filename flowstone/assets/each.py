"""What makes an asset scatter: `each=` says that its function takes one item of an upstream asset at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from flowstone.assets.arguments import is_name, is_number, is_whole
from flowstone.assets.retry import Retry
from flowstone.errors import DefinitionError
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Batch", "Each"]


@frozen
class Batch:
    """How items are put together: the function takes a list of them. Whichever limit is met first ends a batch.

    Items stay in their order, so a batch is a run of neighbours: `by=` begins another one wherever its answer
    changes. Sort the source by it to have as few batches as there are answers.

    Args:
        size: The most items of a batch.
        max_bytes: The most bytes of a batch: of text as UTF-8, of bytes their length, of other items their pickle.
            An item that is larger is a batch of its own.
        by: Called with an item; what it returns for all items of a batch is equal.

    Raises:
        DefinitionError: A value is out of range or of another type, or none is given.
    """

    size: int | None = None
    max_bytes: int | None = None
    by: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        for field, value in (("size", self.size), ("max_bytes", self.max_bytes)):
            if value is not None and not is_whole(value, at_least=1):
                raise DefinitionError(f"Batch({field}={value!r:.100}) must be a whole number of at least 1.")
        if self.by is not None and not callable(self.by):
            raise DefinitionError(f"Batch(by={self.by!r:.100}) must be a function of one item.")
        if self.size is None and self.max_bytes is None and self.by is None:
            raise DefinitionError("Batch() needs size=, max_bytes= or by=: otherwise it would never end.")


@frozen
class Each:
    """Call the function once for each item of an upstream asset; `each="files"` is short for `Each("files")`.

    The upstream's value is a list, a tuple or a dict, or the asset is a reader. The parameter of its name takes one
    item. The asset's value is a sequence of what the function returned, in the order of the items, or a dict if the
    source is one. Every item is attempted, timed out (the asset's `timeout=`) and recorded on its own.

    Args:
        source: The name of the upstream asset, or the asset.
        max_parallel: Items that may run at a time; default 8.
        batch: Let the function take a list of so many items, or of what a `Batch` says; default one item.
        tolerate: How many items (an int) or what share of them (a float from 0 to 1) may fail; default none. Items
            that failed are left out of the value.
        key: Called with an item (or batch), names it; two of one name are refused. Default: its position, or its
            key where the source is a dict.
        retry: What happens when an item fails; default: the asset's `retry=`.

    Raises:
        DefinitionError: A value is out of range or of another type.
    """

    source: str
    max_parallel: int = 8
    batch: int | Batch | None = None
    tolerate: float = 0
    key: Callable[[Any], Any] | None = None
    retry: Retry | None = None

    def __post_init__(self) -> None:
        source: object = self.source
        if not isinstance(source, str) and hasattr(source, "dependencies"):  # An asset.
            object.__setattr__(self, "source", source.name)  # type: ignore[attr-defined] # every asset has one
        elif not is_name(source):
            raise DefinitionError(
                f"Each({source!r:.100}) takes the name of one upstream asset. To go through several, let an asset "
                "put them together into one list."
            )
        if not is_whole(self.max_parallel, at_least=1):
            raise DefinitionError(
                f"Each(max_parallel={self.max_parallel!r:.100}) must be a whole number of at least 1."
            )
        self._check_batch()
        self._check_tolerance()
        if self.key is not None and not callable(self.key):
            raise DefinitionError(f"Each(key={self.key!r:.100}) must be a function of one item.")
        retry: object = self.retry
        if not isinstance(retry, Retry | None):
            raise DefinitionError(f"Each(retry={retry!r:.100}) takes a Retry, such as Retry(attempts=3).")

    def _check_batch(self) -> None:
        batch = self.batch
        if not (batch is None or isinstance(batch, Batch) or is_whole(batch, at_least=1)):
            raise DefinitionError(
                f"Each(batch={batch!r:.100}) must be a whole number of at least 1, or a Batch(size=…)."
            )

    def _check_tolerance(self) -> None:
        tolerate: object = self.tolerate
        whole = is_whole(tolerate, at_least=0)
        share = isinstance(tolerate, float) and is_number(tolerate, at_least=0.0, at_most=1.0)
        if not (whole or share):
            raise DefinitionError(
                f"Each(tolerate={tolerate!r:.100}) must be a number of items, such as 10, or a share of them from "
                "0.0 to 1.0, such as 0.05."
            )

    def tolerated(self, total: int) -> int:
        """How many of so many items may fail."""
        share = type(self.tolerate) is float
        return math.floor(self.tolerate * total + 1e-9) if share else int(self.tolerate)

    @property
    def batches(self) -> Batch | None:
        """What is put together, or None if the function takes one item."""
        return Batch(self.batch) if isinstance(self.batch, int) else self.batch
