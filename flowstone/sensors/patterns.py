"""Which files a pattern means: as in a shell, below the folder that it begins with, and nothing outside of that.

The folder is what comes before the first wildcard. `*`, `?` and `[...]` stand for parts of a name, `**` for any
number of folders; names that begin with a dot are meant only where the pattern says the dot. Links to folders are
not followed, so there is no way round in a circle; a link to a file counts if the file is below the folder too.
"""

from __future__ import annotations

import os
import re
import stat
from fnmatch import translate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowstone.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Pattern"]

_WILD = re.compile(r"[*?\[]")
_ANY_FOLDERS = "**"


class Pattern:
    """A pattern, ready to be looked for.

    Args:
        text: As people write it, with `/` or the separator of the system.

    Attributes:
        text: The pattern, with `/`.
        folder: The folder that it begins with, as it was written; empty: the current one.

    Raises:
        DefinitionError: It names no file, or leads out of its folder.
    """

    def __init__(self, text: Any) -> None:
        given = os.fspath(text) if isinstance(text, os.PathLike) else text
        if not isinstance(given, str) or not given.strip() or "\0" in given:
            raise DefinitionError(f"FileSensor({given!r:.100}) takes a pattern such as 'landing/*.csv'.")
        parts = given.replace(os.sep, "/").split("/")
        first = next((place for place, part in enumerate(parts) if _WILD.search(part)), len(parts) - 1)
        self.text = "/".join(parts)
        self.folder = "/".join(parts[:first]) or ("/" if first else "")
        self._parts = [part for part in parts[first:] if part not in {"", "."}]
        if not self._parts or parts[-1] in {"", ".", ".."}:
            raise DefinitionError(
                f"FileSensor({given!r:.100}) names a folder: add a pattern for the files in it, such as '*.csv'."
            )
        if ".." in self._parts:
            raise DefinitionError(
                f"FileSensor({given!r:.100}) leads out of its folder: '..' belongs before the first wildcard."
            )
        self._root = str(Path(self.folder).absolute())
        self._matches = [_matcher(part) for part in self._parts]

    @property
    def is_of_folder(self) -> bool:
        """Whether it has no wildcard, and is the path of a folder."""
        return not _WILD.search(self.text) and Path(self._root, *self._parts).is_dir()

    def files(self, unread: Callable[[str, OSError], object]) -> Iterator[tuple[str, os.stat_result]]:
        """Each file there is, with its path as the pattern has it.

        Args:
            unread: Told of each folder that cannot be read, and why.

        Raises:
            OSError: The pattern's folder is not there, or cannot be read.
        """
        bounds = os.path.realpath(self._root)
        begin = self.folder if self.folder.endswith("/") or not self.folder else f"{self.folder}/"
        folders = [(self._root, begin, self._from({0}))]
        while folders:
            place, path, at = folders.pop()
            try:
                with os.scandir(place) as entries:
                    listed = sorted(entries, key=lambda entry: entry.name)
            except FileNotFoundError:
                if place == self._root:
                    raise
                continue  # It has gone meanwhile.
            except OSError as error:
                if place == self._root:
                    raise
                unread(path, error)
                continue
            for entry in listed:
                after = self._after(at, entry.name)
                if len(self._parts) in after and (found := _file(entry, bounds)) is not None:
                    yield path + entry.name, found
                deeper = self._from(after - {len(self._parts)})
                if deeper and _is_folder(entry):
                    folders.append((entry.path, f"{path}{entry.name}/", deeper))

    def _from(self, places: set[int]) -> frozenset[int]:
        """Those places in the pattern, and the ones behind `**`, which may stand for nothing."""
        found = set(places)
        for place in sorted(places):
            while place < len(self._parts) and self._parts[place] == _ANY_FOLDERS:
                place += 1
                found.add(place)
        return frozenset(found - {len(self._parts)})

    def _after(self, places: frozenset[int], name: str) -> set[int]:
        """Where in the pattern one is after a name; at its end, if the name may be that of a file."""
        found = set()
        for place in places:
            if not self._matches[place](name):
                continue
            if self._parts[place] == _ANY_FOLDERS:
                found.add(place)
            if self._parts[place] != _ANY_FOLDERS or place == len(self._parts) - 1:
                found.add(place + 1)
        return found


def _matcher(part: str) -> Callable[[str], Any]:
    pattern = re.compile(translate(part))
    if part.startswith("."):
        return pattern.match
    return lambda name: not name.startswith(".") and pattern.match(name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _file(entry: os.DirEntry[str], bounds: str) -> os.stat_result | None:
    """What is known of a file; None if it is none, has gone, or is a link that leads out."""
    try:
        if entry.is_symlink():
            target = os.path.realpath(entry.path)
            if os.path.commonpath([bounds, target]) != bounds:
                return None
            found = Path(target).lstat()
        else:
            found = entry.stat(follow_symlinks=False)
    except (OSError, ValueError):
        return None
    return found if stat.S_ISREG(found.st_mode) else None
