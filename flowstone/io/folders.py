"""Folders below a root that nothing can lead out of.

Every step into a folder is made from the open folder above it (`openat`) and refuses symbolic links, so a
link planted under the root, even between two system calls, is an error and never a way out. Where the system
has no `openat` (Windows) each step is checked by `lstat` instead, which leaves that race.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flowstone.permissions import PRIVATE, folder_mode, make_folders

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["Folder"]

_FLAGS: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_FOLDER: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
# A FIFO planted under the root would block its reader for ever.
_READ: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)
_NO_LINKS_HERE: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
_AS_IT_IS: Final = {"follow_symlinks": False} if os.link in os.supports_follow_symlinks else {}
_JUNCTION: Final = 0xA0000003  # What Windows calls a link to a folder that is not a symbolic link.
_HAS_OPENAT: Final = {os.open, os.mkdir, os.unlink, os.link, os.stat, os.rename} <= os.supports_dir_fd


class Folder:
    """An open folder, as a context manager. Names given to its methods are single names, never paths.

    All methods block and raise `OSError`. What is made in it has the permissions `mode`, folders the fitting ones.
    """

    __slots__ = ("_fd", "_mode", "path")

    def __init__(self, path: str, fd: int | None, mode: int) -> None:
        self.path = path
        self._fd = fd
        self._mode = mode

    @classmethod
    def root(cls, path: str, *, create: bool, mode: int = PRIVATE, openat: bool = _HAS_OPENAT) -> Folder:
        """Open the root itself, which may be a link: it is the user's own word where values live."""
        if create:
            _make_all(Path(path), mode)
        if openat:
            return cls(path, os.open(path, _FOLDER | getattr(os, "O_CLOEXEC", 0)), mode)
        if not Path(path).is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return cls(path, None, mode)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._fd is not None:
            os.close(self._fd)

    def folder(self, name: str, *, create: bool) -> Folder:
        """Open the folder `name`, which must not be a link."""
        if create:
            self._make(name)
        path = os.path.join(self.path, name)  # noqa: PTH118 - strings: this is the hot path of every store
        if self._fd is not None:
            return Folder(path, os.open(name, _FOLDER | _FLAGS, dir_fd=self._fd), self._mode)
        status = self.stat(name)
        if not stat.S_ISDIR(status.st_mode) or getattr(status, "st_reparse_tag", 0) == _JUNCTION:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        return Folder(path, None, self._mode)

    def stat(self, name: str) -> os.stat_result:
        """What `name` is; a link is a link."""
        return os.stat(self._at(name), dir_fd=self._fd, follow_symlinks=False)

    def names(self) -> list[str]:
        """Every name in the folder, in no particular order."""
        return os.listdir(self.path if self._fd is None else self._fd)  # noqa: PTH208 - of a descriptor

    def read(self, name: str) -> bytes:
        """The content of the regular file `name`."""
        if self._fd is None and stat.S_ISLNK(self.stat(name).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
        fd = os.open(self._at(name), _READ | _FLAGS, dir_fd=self._fd)
        with os.fdopen(fd, "rb", buffering=0) as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise FileNotFoundError(errno.ENOENT, "not a regular file", name)
            return file.readall()

    def open_new(self, name: str) -> int:
        """Create the file `name`, which must not exist, for writing."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS
        return os.open(self._at(name), flags, self._mode, dir_fd=self._fd)

    def move(self, name: str, to: Folder, new: str) -> None:
        """Move the file `name` to the folder `to` as `new`; `FileExistsError` if there is one."""
        try:
            os.link(self._at(name), to._at(new), src_dir_fd=self._fd, dst_dir_fd=to._fd, **_AS_IT_IS)
        except OSError as error:
            if error.errno not in _NO_LINKS_HERE:
                raise
            self._rename(name, to, new)
        else:
            self.remove(name)

    def remove(self, name: str) -> bool:
        """Remove the file `name`; False if there is none."""
        try:
            os.unlink(self._at(name), dir_fd=self._fd)
        except FileNotFoundError:
            return False
        return True

    def sync(self) -> None:
        """Make the folder's entries durable. Windows does that by itself."""
        if self._fd is not None:
            os.fsync(self._fd)

    def _at(self, name: str) -> str:
        return name if self._fd is not None else os.path.join(self.path, name)  # noqa: PTH118 - as above

    def _make(self, name: str) -> None:
        with suppress(FileExistsError):
            os.mkdir(self._at(name), folder_mode(self._mode), dir_fd=self._fd)

    def _rename(self, name: str, to: Folder, new: str) -> None:
        # For file systems without hard links (FAT, some network shares). Not exclusive against a concurrent
        # writer of the same name, but names in use here carry the content's digest: it would write the same.
        try:
            to.stat(new)
        except FileNotFoundError:
            os.rename(self._at(name), to._at(new), src_dir_fd=self._fd, dst_dir_fd=to._fd)
        else:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)


def _make_all(path: Path, mode: int) -> None:
    """Create a folder and those above it, each durable in the one above."""
    try:
        missing = make_folders(path, mode)
    except FileExistsError:  # That is: there is a file of that name.
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from None
    for folder in missing:
        # Above the root this user may not read: then it is as durable as the system makes it.
        with suppress(OSError), Folder.root(str(folder.parent), create=False) as above:
            above.sync()
