"""The logs of attempts, in files beside the journal: one for each run, a line of JSON for each line.

People may read them, and so may other processes while this one writes. Nothing waits for the disk to have them:
after a crash of the machine the last lines may be missing, or the last one torn. What is no line is passed over.

The number of a line is where it ends in its file, in bytes: to go on after it is to read from there.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote

from flowstone.errors import StoreUnavailable
from flowstone.permissions import make_folders
from flowstone.runs.log_line import LEVELS, LogLine, level_name
from flowstone.store.logs import LogPage, Logs, newest_of
from flowstone.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO, TypeVar

    from flowstone.store.history import History
    from flowstone.store.logs import LogChunk

    T = TypeVar("T")

__all__ = ["FileLogs"]

_SUFFIX: Final = ".jsonl"
_LONGEST_NAME: Final = 200
_BLOCK: Final = 64_000  # Bytes that are read at a time from the end.
_IDLE: Final = 5.0  # Seconds that the thread stays without work.
_FLAGS: Final = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class FileLogs(Logs):
    """The logs of a `FileStore`.

    Args:
        history: The state, now.
        folder: Where the files are; made when there is something to keep.
        mode: Permissions of files that it makes.
        read_only: Whether another process writes.
    """

    def __init__(
        self, history: Callable[[], History], folder: Callable[[], Path], mode: int, *, read_only: bool
    ) -> None:
        self._history = history
        self._folder = folder
        self._mode = mode
        self._read_only = read_only
        self._kept: set[int] = set()  # Of a call that did not keep all.
        self._thread = Threads(1, "flowstone logs", idle=_IDLE)

    def close(self) -> None:
        """Let the thread end after what it has to do."""
        self._thread.close()

    async def append(self, writer: int, chunks: Sequence[LogChunk]) -> None:
        del writer  # There is one.
        history = self._history()
        runs: dict[str, list[LogChunk]] = {}
        for chunk in chunks:
            if chunk.part not in self._kept and history.find(chunk.run_id) is not None:
                runs.setdefault(chunk.run_id, []).append(chunk)
        for run_id, told in runs.items():
            await self._on_disk("keep", partial(self._append, run_id, told))
            # Should the file of another run be refused, all come again.
            self._kept.update(chunk.part for chunk in told)
        self._kept.clear()

    async def page(
        self,
        run_id: str,
        *,
        asset: str | None = None,
        partition_key: str | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> LogPage:
        wanted = partial(self._page, run_id, (asset, partition_key), after, limit)
        return await self._on_disk("read", wanted)

    async def tail(
        self, run_id: str, *, asset: str | None = None, partition_key: str | None = None, limit: int
    ) -> LogPage:
        return await self._on_disk("read", partial(self._tail, run_id, (asset, partition_key), limit))

    async def prune(self) -> None:
        if self._read_only:
            return
        names = await self._on_disk("look at", self._names)
        history = self._history()
        gone = [name for name in names if history.find(unquote(name.removesuffix(_SUFFIX))) is None]
        if gone:
            await self._on_disk("remove", partial(self._remove, gone))

    async def _on_disk(self, what: str, work: Callable[[], T]) -> T:
        try:
            return await self._thread.start(f"to {what} logs", work).wait_or_leave()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise StoreUnavailable(f"cannot {what} logs in {self._folder()} ({reason}); fix that") from error

    # On the thread ------------------------------------------------------------------------------------------

    def _append(self, run_id: str, chunks: list[LogChunk]) -> None:
        path = self._path(run_id)
        if path is None:
            return
        make_folders(path.parent, self._mode)
        data = "".join(text for chunk in chunks for text in _texts(chunk)).encode()
        with os.fdopen(os.open(path, _FLAGS, self._mode), "r+b", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            if end and not _ends_a_line(file, end):
                data = b"\n" + data
            try:
                file.seek(end)
                rest = memoryview(data)
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                with suppress(OSError):
                    file.truncate(end)  # Otherwise what was written of it would be there twice.
                raise

    def _page(self, run_id: str, step: tuple[str | None, str | None], after: int, limit: int) -> LogPage:
        path = self._path(run_id)
        found: list[LogLine] = []
        end = after
        if path is None or limit < 1:
            return LogPage(found, end)
        with suppress(FileNotFoundError), path.open("rb") as file:
            for end, line in _lines_after(file, after, step):
                found.append(line)
                if len(found) >= limit:
                    return LogPage(found, end)
            end = max(after, file.tell())
        return LogPage(found, end)

    def _tail(self, run_id: str, step: tuple[str | None, str | None], limit: int) -> LogPage:
        path = self._path(run_id)
        found: list[LogLine] = []
        if path is not None and limit > 0:
            with suppress(FileNotFoundError), path.open("rb") as file:
                found = list(islice(_of_step(_lines_backwards(file), step), limit))
        return newest_of(found[::-1], limit)

    def _names(self) -> list[str]:
        try:
            return [name for name in os.listdir(self._folder()) if name.endswith(_SUFFIX)]  # noqa: PTH208 - names
        except FileNotFoundError:
            return []

    def _remove(self, names: list[str]) -> None:
        folder = self._folder()
        for name in names:
            (folder / name).unlink(missing_ok=True)

    def _path(self, run_id: str) -> Path | None:
        """The file of a run. Ids that are no name of a file are nobody's: a runtime makes short ones of digits."""
        name = quote(run_id, safe="")
        return None if len(name) > _LONGEST_NAME else self._folder() / f"{name}{_SUFFIX}"


def _texts(chunk: LogChunk) -> Iterator[str]:
    for at, level, message, fields in chunk.lines:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds"),
            "level": level_name(level),
            "asset": chunk.asset,
            "partition_key": chunk.partition_key,
            "attempt": chunk.attempt,
            "message": message,
        }
        if fields:
            line["fields"] = fields
        yield f"{json.dumps(line, ensure_ascii=False)}\n"


def _ends_a_line(file: Any, end: int) -> bool:
    file.seek(end - 1)
    return bool(file.read(1) == b"\n")


def _lines_after(
    file: BinaryIO, after: int, step: tuple[str | None, str | None]
) -> Iterator[tuple[int, LogLine]]:
    """The lines of a step, or of all, that end behind this place; leaves the file where the last one ends."""
    if after:
        file.seek(after - 1)
        if file.read(1) != b"\n":
            file.readline()  # It is no end of a line.
    end = file.tell()
    mark = _mark_of(step)
    while (text := file.readline()).endswith(b"\n"):
        end += len(text)
        if mark in text and (line := _line_of(text, end)) is not None and _is_of(line, step):
            yield end, line
    file.seek(end)


def _lines_backwards(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The lines from the last one on, each with where it ends; half a line at the end is none."""
    place, rest = file.seek(0, os.SEEK_END), b""
    while place:
        size = min(_BLOCK, place)
        place -= size
        file.seek(place)
        data = file.read(size) + rest
        *texts, torn = data.split(b"\n")
        end = place + len(data) - len(torn)
        for text in reversed(texts[1:]):
            yield end, text + b"\n"
            end -= len(text) + 1
        # The first one may have begun in what is before.
        rest = texts[0] + b"\n" if texts else b""
    if rest:
        yield len(rest), rest


def _of_step(texts: Iterable[tuple[int, bytes]], step: tuple[str | None, str | None]) -> Iterator[LogLine]:
    """The lines of a step, or of all."""
    mark = _mark_of(step)
    for end, text in texts:
        if mark in text and (line := _line_of(text, end)) is not None and _is_of(line, step):
            yield line


def _mark_of(step: tuple[str | None, str | None]) -> bytes:
    """What each line of the asset has in it, so that few others have to be read."""
    return b"" if step[0] is None else f'"asset": {json.dumps(step[0], ensure_ascii=False)}, '.encode()


def _is_of(line: LogLine, step: tuple[str | None, str | None]) -> bool:
    asset, partition_key = step
    return asset in (None, line.asset) and partition_key in (None, line.partition_key)


def _line_of(text: bytes, number: int) -> LogLine | None:
    """The line, or None if it is none: half of one, or something that somebody else has written."""
    try:
        told = json.loads(text)
        at = datetime.fromisoformat(told["at"])
        level = told["level"]
        if level not in LEVELS:
            return None
        step = told["asset"], told["partition_key"], told["attempt"]
        return LogLine(at, level, told["message"], told.get("fields", {}), *step, number)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
