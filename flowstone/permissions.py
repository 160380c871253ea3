"""Who may read what is written to disk: its owner alone, unless somebody says otherwise.

One number says it, the mode of a file such as 0o600. Folders follow from it: whoever may read the files may
enter and list the folders. As everywhere, the process's umask may take permissions away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PRIVATE", "checked_mode", "folder_mode", "make_folders"]

PRIVATE: Final = 0o600
"""The mode of files where nothing else is said."""


def checked_mode(mode: int) -> int:
    """The mode itself; raises ValueError if it cannot be one of files that their owner writes and reads."""
    if mode & 0o600 != 0o600 or mode & ~0o666:
        raise ValueError(
            "mode is the permissions of files in octal, such as 0o600 (the owner alone), 0o640 (and the group "
            f"reads) or 0o644 (and everybody reads), not {mode:#o}"
        )
    return mode


def folder_mode(mode: int) -> int:
    """The mode of folders around files of this mode."""
    return mode | (mode & 0o444) >> 2


def make_folders(path: Path, mode: int) -> list[Path]:
    """Make a folder and the missing ones above it, for files of this mode; returns those that were missing.

    Raises OSError, FileExistsError if something else than a folder has the name.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=folder_mode(mode), exist_ok=True)
    if not missing:
        path.mkdir(exist_ok=True)  # Says what is wrong with it, if it is no folder.
    return missing
