"""`FileIO`: values as files below a root, for as long as the disk lasts."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flowstone.errors import IOManagerError
from flowstone.io.locations import Location, digest_of
from flowstone.io.manager import Stored
from flowstone.io.objects import Abandoned, Objects
from flowstone.io.translation import decoded, encoded, location_error, named
from flowstone.permissions import PRIVATE, checked_mode
from flowstone.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from flowstone.io.codecs import Codec
    from flowstone.io.manager import Target

__all__ = ["FileIO", "explain"]

_IDLE: Final = 10.0  # Seconds that a thread without work stays.
_MEANINGS: Final[Mapping[int, str]] = {
    errno.ENOSPC: "the disk is full; free some space, or choose a root on a larger disk",
    errno.EDQUOT: "the disk quota is used up; free some space, or choose a root on another disk",
    errno.EFBIG: "the file is too large for this file system; split the value over partitions",
    errno.EROFS: "the file system is read-only; choose a root that can be written",
    errno.EACCES: "permission was denied; give this user access to the root, or choose another root",
    errno.EPERM: "it is not permitted; give this user access to the root, or choose another root",
    errno.ENOTDIR: "a file or a link is where a folder must be; remove it, or choose another root",
    errno.ELOOP: "a symbolic link is on the way, which is never followed; replace it by what it points to",
    errno.ENAMETOOLONG: "the path is too long for this file system; choose a root with a shorter path",
    errno.EMFILE: "this process has too many open files; raise its limit (ulimit -n), or run fewer steps",
    errno.ENFILE: "the system has too many open files; close some, or run fewer steps",
    errno.EIO: "the disk reported an error; check the disk before trusting it with values",
    errno.ESTALE: "the network share is stale; mount it again",
    errno.EXDEV: "a folder is on another file system than its root; remove the mount, or move the root",
}


def explain(error: OSError) -> str:
    """What went wrong and a remedy, as the tail of a sentence."""
    meaning = _MEANINGS.get(error.errno or 0)
    if meaning is not None:
        return meaning
    return f"the operating system refused ({error.strerror or error}); check the root folder"


class FileIO:
    """Stores each value as one immutable file, `root/asset/key/run-attempt.digest.suffix`.

    `store` returns once the file and its name are on the disk (`fsync`). A file appears whole or not at all,
    is never replaced, and is checked against its digest when loaded. Any process with the same root can load
    it. Files are read and written on daemon threads, so a disk that hangs stops neither the loop nor the
    exit.

    Args:
        root: The folder; created when first needed. `~` is the home folder.
        codec: `auto` picks by the value's type: `bytes`, `text`, `pydantic`, `dataclass`, `json`, `parquet`.
            One of these names takes only what that codec takes. `pickle` takes almost anything, and only a
            FileIO built with it loads pickles: loading one can run code.
        models: Classes whose instances may be loaded though their module is not imported when that happens.
        codecs: Codecs of your own, asked before the built-in ones.
        max_threads: Files read or written at a time.
        mode: Permissions of files that it makes, less what the process's umask takes away; by default they are
            their owner's alone. Folders that it makes can also be entered by those who may read: 0o700 for
            0o600, 0o750 for 0o640, 0o755 for 0o644.

    Raises:
        ValueError: There is no codec of that name, or two share a suffix; `mode` does not let its owner read and
            write, or lets somebody run the files.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        codec: str = "auto",
        *,
        models: Iterable[type] = (),
        codecs: Iterable[Codec] = (),
        max_threads: int = 8,
        mode: int = PRIVATE,
    ) -> None:
        from flowstone.io.codecs.selection import Codecs  # noqa: PLC0415 - see the package's docstring

        # Absolute from the start: a later chdir must not move the warehouse.
        place = str(Path(os.path.abspath(Path(root).expanduser())))  # noqa: PTH100 - keeps links
        self._objects = Objects(place, mode=checked_mode(mode))
        self._codecs = Codecs(codec, models=models, extra=codecs)
        self._threads = Threads(max_threads, "flowstone-files", idle=_IDLE)

    def __repr__(self) -> str:
        return f"FileIO({self._objects.root!r}, codec={self._codecs.name!r})"

    @property
    def root(self) -> Path:
        """The folder, as an absolute path."""
        return Path(self._objects.root)

    async def store(self, target: Target, value: object) -> Stored:
        """Write `value` durably. Cancelled, it leaves no file behind, whole or partial.

        Raises:
            IOManagerError: No codec takes the value, the disk refuses it, or this attempt has stored the same
                value before. Nothing was left behind.
        """
        return await self._threads.run(
            lambda abandoned: self._store(target, value, abandoned), undo=self._discard
        )

    async def load(self, location: str) -> object:
        """Read a value, which equals the one stored and has its type.

        Raises:
            IOManagerError: It is not there, was damaged, or cannot be rebuilt in this process.
        """
        return await self._threads.run(lambda _: self._load(location))

    async def delete(self, location: str) -> None:
        """Remove a value's file; deleting what is not there is not an error. Raises `IOManagerError`."""
        place = _parsed(location, "delete")
        await self._threads.run(lambda _: self._delete(place))

    async def exists(self, location: str) -> bool:
        """Whether the value's file is there; False for what is no location of a FileIO.

        Raises:
            IOManagerError: The disk does not say.
        """
        place = Location.parse(location)
        return place is not None and await self._threads.run(lambda _: self._exists(place))

    async def health(self) -> None:
        """Raises `IOManagerError` if the root cannot be created or opened."""
        await self._threads.run(lambda _: self._check())

    async def teardown(self) -> None:
        """Let the threads go. The manager may be used again, which starts new ones."""
        self._threads.close()

    # On a worker thread -------------------------------------------------------------------------------------

    def _store(self, target: Target, value: object, abandoned: Callable[[], bool]) -> Stored:
        what = f"asset {named(target)!r}"
        codec, data = encoded(self._codecs, target, value)
        digest = digest_of(data)
        place = Location.of(target, digest, codec.suffix)
        try:
            self._objects.publish(place.folders, place.name, data, abandoned)
        except Abandoned:
            raise IOManagerError(f"Storing {what} was cancelled.") from None
        except FileExistsError:
            raise IOManagerError(
                f"Cannot store {what}: attempt {target.attempt} of run {target.run_id!r} already stored this "
                f"value, and stored values are never replaced; store it under a new attempt."
            ) from None
        except OSError as error:
            raise self._refused(f"Cannot store {what}", error) from error
        return Stored(str(place), len(data), f"sha256:{digest}", {"codec": codec.name})

    def _load(self, location: str) -> object:
        place = _parsed(location, "load")
        data = self._read(place)
        if not place.matches(data):
            raise IOManagerError(
                f"Cannot load {location!r}: the file in {self._objects.root} is damaged (it does not have "
                f"the recorded digest). Restore it from a backup, or materialize the asset again."
            )
        return decoded(self._codecs, place, data)

    def _read(self, place: Location) -> bytes:
        try:
            return self._objects.read(place.folders, place.name)
        except FileNotFoundError:
            raise IOManagerError(
                f"Cannot load {str(place)!r}: it is not in {self._objects.root}; it was deleted, or stored "
                f"under another root. Materialize the asset again, or give FileIO the root it was stored in."
            ) from None
        except OSError as error:
            raise self._refused(f"Cannot load {str(place)!r}", error) from error

    def _delete(self, place: Location) -> None:
        try:
            self._objects.remove(place.folders, place.name)
        except OSError as error:
            raise self._refused(f"Cannot delete {str(place)!r}", error) from error

    def _exists(self, place: Location) -> bool:
        try:
            return self._objects.exists(place.folders, place.name)
        except OSError as error:
            raise self._refused(f"Cannot look for {str(place)!r}", error) from error

    def _check(self) -> None:
        try:
            self._objects.check()
        except OSError as error:
            raise self._refused("Cannot store files", error) from error

    def _discard(self, stored: Stored) -> None:
        """The caller of `store` left before it heard of this file, so nobody will ever name it."""
        self._delete(_parsed(stored.location, "delete"))

    def _refused(self, doing: str, error: OSError) -> IOManagerError:
        return IOManagerError(f"{doing} in {self._objects.root}: {explain(error)}.")


def _parsed(location: str, doing: str) -> Location:
    place = Location.parse(location)
    if place is None:
        raise location_error(doing, location, "FileIO")
    return place
