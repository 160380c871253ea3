"""Other processes that use an embedded server, and what can be seen of the server from outside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg

from flowstone.store.embedded.postmaster import Postmaster
from flowstone.store.embedded.wait_limit import WaitLimit

ROOT = Path(__file__).parents[3]

# Says the URL, or the refusal; goes on at each line: `again` starts again, the end of the input leaves.
# Imports come first: another user may not be able to enter the directory of this Python.
PROGRAM = """
import os, pwd, sys
from flowstone.errors import StoreUnavailable
from flowstone.store.embedded import EmbeddedServer

directory, user, linger = sys.argv[1:]
if user:
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
server = EmbeddedServer(directory, linger=float(linger))

def start():
    try:
        print(server.start(), flush=True)
    except StoreUnavailable as error:
        print(str(error).replace("\\n", " | "), flush=True)

start()
for line in sys.stdin:
    start()
server.leave()
"""


class User:
    """A process that starts the server of a directory, as another user if one is named."""

    def __init__(
        self, directory: Path, *, user: str = "", linger: float = 0, env: dict[str, str] | None = None
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, directory, user, str(linger)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
        )

    def answer(self) -> str:
        """The next line it says: a URL, or why there is none. Waits for it."""
        return self.process.stdout.readline().strip()

    def again(self) -> str:
        """Have it start once more."""
        self.process.stdin.write("again\n")
        self.process.stdin.flush()
        return self.answer()

    def stop(self) -> None:
        """Have it leave and end."""
        self.process.communicate()
        assert self.process.returncode == 0

    def kill(self) -> None:
        """Kill -9, and wait for the end."""
        self.process.kill()
        self.process.communicate()


def running(directory: Path) -> int | None:
    """The process id of the directory's server, None if it does not run."""
    postmaster = Postmaster.of(directory / "data")
    return postmaster.pid if postmaster is not None and postmaster.lives() else None


def reaper(directory: Path) -> int | None:
    """The process id of the server's reaper: whoever has its lock file locked. None if there is none."""
    inode = (directory / "reaper.lock").stat().st_ino
    locked = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    if not any(words[1] == "FLOCK" and words[5].endswith(f":{inode}") for words in locked):
        return None
    processes = [int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal()]
    return next((pid for pid in processes if _has_open(pid, directory)), None)


def _has_open(pid: int, directory: Path) -> bool:
    try:
        files = [file.resolve() for file in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return pid != os.getpid() and directory / "reaper.lock" in files


def kill_server(directory: Path) -> int:
    """Kill -9 the server, as far as its parent, init, cares: it may be a zombie for a while."""
    pid = running(directory)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert WaitLimit(200).until(lambda: running(directory) is None)
    return pid


async def query(dsn: str, statement: str) -> object:
    """The first value of a statement's answer."""
    connection = await asyncpg.connect(dsn, timeout=60)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()
