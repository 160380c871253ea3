"""What the operating system's refusals mean to a user, and what to do about each."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["explain"]

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
