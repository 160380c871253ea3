"""What an asset's function may know about the attempt it runs in.

One is made for each attempt, so construction does nothing but store references: the logger, the metadata
and the view of the resources come into being when they are first asked for.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from flowstone.assets.arguments import is_number
from flowstone.assets.partition_labels import key_label, step_label
from flowstone.assets.waiting import WaitingCalls
from flowstone.errors import FlowstoneError, ResourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from flowstone.assets.waiting import Answers, Notes

__all__ = ["Context", "Resources"]


class Resources:
    """The resources one asset required, by attribute (`resources.db`) or item (`resources["db"]`)."""

    __slots__ = ("_asset", "_by_name")

    def __init__(self, by_name: Mapping[str, Any], asset: str) -> None:
        self._by_name = by_name
        self._asset = asset

    def __getitem__(self, name: str) -> Any:
        try:
            return self._by_name[name]
        except KeyError:
            raise ResourceUnavailable(self._refusal(name)) from None

    def __getattr__(self, name: str) -> Any:
        # Dunder look-ups come from copy, pickle and inspection; those expect an AttributeError.
        if name.startswith("__") or name not in self._by_name:
            raise _MissingResource(self._refusal(name))
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return f"Resources({', '.join(sorted(self._by_name))})"

    def _refusal(self, name: str) -> str:
        return (
            f"Asset {self._asset!r} did not require the resource {name!r}: add requires={{{name!r}}} to its "
            f"definition, or a parameter annotated Annotated[…, Resource({name!r})]."
        )


class _MissingResource(ResourceUnavailable, AttributeError):
    """Both at once, so that `hasattr` and `getattr` with a default behave."""


class Context(WaitingCalls):
    """The attempt an asset's function runs in.

    Attributes:
        asset: The asset's name.
        partition: The partition as a Python value, or None.
        partition_key: The same as text (`encode_partition`), or None.
        run_id: The run this attempt belongs to.
        attempt: 1 for the first attempt.
        cursor: In a reader, where to go on: what an earlier attempt gave to `checkpoint` last; else None.
        on_checkpoint: What `checkpoint` calls.
    """

    __slots__ = (
        "_limit",
        "_log",
        "_metadata",
        "_on_log",
        "_on_progress",
        "_resources",
        "asset",
        "attempt",
        "cursor",
        "on_checkpoint",
        "partition",
        "partition_key",
        "run_id",
    )

    def __init__(
        self,
        asset: str,
        partition: Any = None,
        partition_key: str | None = None,
        run_id: str = "",
        attempt: int = 1,
        resources: Mapping[str, Any] | None = None,
        on_progress: Callable[[float, str | None], None] | None = None,
        answers: Answers | None = None,
        notes: Callable[[], Notes] | None = None,
        limit: Callable[[str], AbstractAsyncContextManager[None]] | None = None,
        on_log: Callable[[int, str, Mapping[str, Any]], None] | None = None,
    ) -> None:
        """Store the facts of one attempt.

        Args:
            asset: The asset's name.
            partition: The partition as a Python value.
            partition_key: The encoded partition.
            run_id: The run.
            attempt: 1 for the first attempt.
            resources: What the asset required, by name; default nothing.
            on_progress: Called with `(fraction, message)`, on the thread that runs the asset; default nobody.
            answers: What the step has so far of what it waited for or did once, by name; default nothing.
            notes: Makes what puts on record what `once` and `signal_token` say; default: they are refused.
            limit: Makes what waits for a turn of a rate; default: nothing waits.
            on_log: Called with the level, the event and the fields of each entry of `log`, on the thread that says
                it; default nobody.
        """
        self.asset = asset
        self.partition = partition
        self.partition_key = partition_key
        self.run_id = run_id
        self.attempt = attempt
        self._resources: Any = resources
        self._on_progress = on_progress
        self._metadata: dict[str, Any] | None = None
        self._log: Any = None
        self.cursor: Any = None
        self.on_checkpoint: Callable[[Any], None] | None = None
        self._limit = limit
        self._on_log = on_log
        WaitingCalls.__init__(self, answers, notes)

    def checkpoint(self, cursor: Any) -> None:
        """In a reader: everything that was yielded so far is behind this cursor.

        If the process dies, the next attempt finds the newest one that was recorded in `context.cursor`, and is to
        yield what comes after it.

        Args:
            cursor: Where to go on, as JSON has it.

        Raises:
            ValueError: It is nothing that JSON has.
            FlowstoneError: The asset is no reader.
        """
        if self.on_checkpoint is None:
            raise FlowstoneError(
                f"context.checkpoint() marks how far a reader has come, and {self.asset!r} yields nothing: use it "
                "in a generator, between its items."
            )
        self.on_checkpoint(cursor)

    @property
    def resources(self) -> Resources:
        """The resources this asset required.

        Raises:
            ResourceUnavailable: On access to a resource that the asset did not require.
        """
        resources = self._resources
        if type(resources) is not Resources:
            resources = self._resources = Resources(resources or {}, self.asset)
        return resources

    @property
    def metadata(self) -> dict[str, Any]:
        """JSON-like facts that are recorded with the materialization; empty at first, yours to fill."""
        if self._metadata is None:
            self._metadata = {}
        return self._metadata

    @property
    def log(self) -> Any:
        """A structlog logger bound to asset, partition (as people write it), run and attempt.

        Its entries are kept with the attempt (`runtime.logs`), from `log_level` on ("info" unless you say
        otherwise), whatever your levels are. They become records of the standard library's logger
        `flowstone.asset.NAME` as well, so your handlers, levels and pytest's `caplog` see them, also from threads
        and worker processes.
        """
        if self._log is None:
            from flowstone.assets.step_log import (  # noqa: PLC0415 - structlog costs more than most assets log
                step_log,
            )

            partition = None if self.partition_key is None else key_label(self.partition_key)
            self._log = step_log(self.asset, partition, self.run_id, self.attempt, self._on_log)
        return self._log

    def progress(self, fraction: float, message: str | None = None) -> None:
        """Say how far the work is.

        Args:
            fraction: From 0 (begun) to 1 (done).
            message: What is going on, in a few words.

        Raises:
            ValueError: `fraction` is no number between 0 and 1.
        """
        if not is_number(fraction, at_least=0, at_most=1):
            raise ValueError(
                f"progress({fraction!r}) takes a number from 0 to 1: divide what is done by the total."
            )
        if self._on_progress is not None:
            self._on_progress(float(fraction), message)

    def limit(self, name: str) -> AbstractAsyncContextManager[None]:
        """Wait for a turn of a rate: `async with context.limit("api"):`, in async assets.

        Args:
            name: The name of a rate of the pipelines.

        Raises:
            ValueError: There is no such rate, or the asset does not run on the runtime's loop.
        """
        return nullcontext() if self._limit is None else self._limit(name)

    def __repr__(self) -> str:
        where = step_label(self.asset, self.partition_key)
        return f"Context({where}, run {self.run_id or '-'}, attempt {self.attempt})"
