"""`FileSensor`: files that land in a folder."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from flowstone.printable import one_line
from flowstone.sensors.found import FoundObject, digest_of
from flowstone.sensors.landing import LandingSensor, LocationMissing
from flowstone.sensors.memory import Seen
from flowstone.sensors.patterns import Pattern

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from flowstone.assets.automation.run_request import RunRequest

__all__ = ["FileSensor"]

_log = logging.getLogger("flowstone.sensors")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class FileSensor(LandingSensor):
    """Asks for a run for each file that appears or changes, once; `pipeline.add(FileSensor("landing/*.csv", …))`.

    What a run is told of its file: of an asset with a dynamic partition set the partition is the file's path, as
    the pattern has it, and is added to the set. An asset without partitions is given the path by its config, if it
    has a field `path`. Anything else is said by `partition=`, `config=` or `request=`, functions that are given a
    `FoundObject`. Each run is tagged `object=<path>`.

    A file has changed if its size, its time of modification or that of its status has. It is reported when it has
    been the same in two looks that are at least `settle` seconds apart. At most 100,000 files may match at a time.

    Args:
        pattern: As in a shell, `**` for any number of folders: `landing/*.csv`, `/data/**/*.json`. Relative to the
            folder in which the process is when this is called.
        asset: What is computed for a file: name, `Asset` or decorated function.
        existing: Whether files that are there at the first look count; default: those that come later only.
        name: The sensor's name, for `pipeline.add`; default: the pattern.
        every: Seconds from the end of a look to the next one, for `pipeline.add`.
        settle: Seconds for which a file must have been quiet, from 0 (report it at once) to 86,400; default 1.
        partition: From a file to its partition; None: the file is left out.
        config: From a file to the config of its run.
        request: From a file to its whole `RunRequest`, or None; instead of `asset`, `partition` and `config`.
        upstream: Whether everything upstream is part of the run.
        refresh: Which existing values are reused; default `all`: none, as a file that has changed is another one.
        priority: Of the runs.
        tags: Further labels of the runs.
        limit: How many runs one look starts at most, for `pipeline.add`.
        paused: Whether it is paused when it is seen for the first time, for `pipeline.add`.

    Raises:
        DefinitionError: One of these cannot be.
    """

    _is_near = True

    def __init__(
        self,
        pattern: str | os.PathLike[str],
        *,
        asset: Any = None,
        existing: bool = False,
        name: str | None = None,
        every: float = 30.0,
        settle: float = 1.0,
        partition: Callable[[FoundObject], Any] | None = None,
        config: Callable[[FoundObject], Any] | None = None,
        request: Callable[[FoundObject], RunRequest | None] | None = None,
        upstream: bool = True,
        refresh: Literal["all", "missing", "stale"] = "all",
        priority: int = 0,
        tags: Mapping[str, str] | None = None,
        limit: int = 1000,
        paused: bool = False,
    ) -> None:
        self._pattern = Pattern(pattern)
        super().__init__(
            f"FileSensor({self._pattern.text!r:.100})",
            self._pattern.text,
            name=self._pattern.text if name is None else name,
            existing=existing,
            settle=settle,
            every=every,
            limit=limit,
            paused=paused,
            asset=asset,
            partition=partition,
            config=config,
            request=request,
            upstream=upstream,
            refresh=refresh,
            priority=priority,
            tags=tags,
        )

    def __repr__(self) -> str:
        return f"FileSensor({self._pattern.text!r})"

    def _look(self) -> Seen:
        unread: list[str] = []

        def note(path: str, error: OSError) -> None:
            unread.append(path)
            _log.warning("%s cannot be read: %s", one_line(path), one_line(str(error)))

        remedy = "files: move away what is done with, or use several sensors of narrower patterns"
        try:
            found = self._gathered(map(_found, self._pattern.files(note)), remedy)
        except FileNotFoundError:
            raise LocationMissing(
                f"The folder {self._pattern.folder!r} of {self} does not exist yet."
            ) from None
        if not found and self._pattern.is_of_folder:
            raise ValueError(f"{self} is a folder: add a pattern for the files in it, such as '*.csv'.")
        return Seen(found, complete=not unread)


def _found(file: tuple[str, os.stat_result]) -> tuple[bytes, FoundObject]:
    path, state = file
    digest = digest_of(path, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    return digest, FoundObject(path, path.rpartition("/")[2], state.st_size, _instant(state.st_mtime))


def _instant(timestamp: float) -> datetime:
    """Of any time that a file system may have; one that no calendar has is the beginning of the epoch."""
    try:
        return datetime.fromtimestamp(timestamp, UTC)
    except (OverflowError, ValueError, OSError):
        return _EPOCH
