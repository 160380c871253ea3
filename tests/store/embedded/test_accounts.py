"""Who runs the server, and who can get at it: never root, and nobody else."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from flowstone.errors import StoreUnavailable
from flowstone.store.embedded import EmbeddedServer
from flowstone.store.embedded.access import restrict_access
from flowstone.store.embedded.account import Account, account_for
from flowstone.store.embedded.wait_limit import WaitLimit
from tests.store.embedded.users import query, running

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others")


def owner(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def ids(name: str) -> tuple[int, int]:
    entry = pwd.getpwnam(name)
    return entry.pw_uid, entry.pw_gid


@as_root
def test_root_has_it_run_by_somebody_unprivileged(directory):
    """The server runs as `postgres` or `nobody`, who owns its data and its socket and nothing above."""
    server = EmbeddedServer(directory)
    server.start()
    uid = owner(running(directory))
    assert uid in {ids(name)[0] for name in ("postgres", "nobody") if known(name)}
    assert uid != 0
    for name in ("data", "socket"):
        status = (directory / name).stat()
        assert (status.st_uid, status.st_mode & 0o777) == (uid, 0o700)
    assert directory.stat().st_uid == 0
    server.stop()


@as_root
def test_others_see_nothing_of_it(place):
    """Whatever the umask, data and log are the server's alone; its account may pass through what is above them."""
    before = os.umask(0)
    try:
        server = EmbeddedServer(place / "above" / "pg", options={"fsync": "off"})
        server.start()
        server.stop()
    finally:
        os.umask(before)
    directory = place / "above" / "pg"
    found = {
        path.name: path.stat().st_mode & 0o777 for path in (directory.parent, directory, *directory.iterdir())
    }
    assert found.pop("above") == found.pop("pg") == 0o711
    assert found.pop("data") == 0o700
    assert {mode & 0o177 for name, mode in found.items() if name != "socket"} == {0}


def known(name: str) -> bool:
    return name in {entry.pw_name for entry in pwd.getpwall()}


@as_root
async def test_another_user_runs_it_as_itself(place, use):
    """Without root, the server is the user's own; root may then use it as well, and does not take it away."""
    directory = place / "theirs" / "pg"
    directory.parent.mkdir()
    os.chown(directory.parent, *ids("nobody"))
    user = use(directory, user="nobody")
    dsn = user.answer()
    assert owner(running(directory)) == ids("nobody")[0]
    server = EmbeddedServer(directory)
    assert server.start() == dsn
    assert await query(dsn, "SELECT 1") == 1
    user.kill()
    server.stop()
    assert running(directory) is None
    server.start()
    assert owner(running(directory)) == ids("nobody")[0]
    server.stop()
    again = use(directory, user="nobody")
    assert again.answer() == dsn
    again.stop()
    assert running(directory) is None


# Speaks the first words of the protocol as another user, and says what the server answers.
STRANGER = """
import os, socket, struct, sys
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
caller = socket.socket(socket.AF_UNIX)
caller.connect(sys.argv[1])
words = b"user\\0" + sys.argv[3].encode() + b"\\0database\\0postgres\\0\\0"
caller.sendall(struct.pack("!ii", len(words) + 8, 196608) + words)
answer = caller.recv(1000)
print(answer[:1] + answer[5:9], "authentication failed" in answer.decode(errors="replace"))
"""


def greeted(directory: Path, uid: int, role: str = "postgres") -> str:
    """What the server answers to another user who has got at its socket."""
    name = str(directory / "socket" / ".s.PGSQL.5432")
    command = [sys.executable, "-c", STRANGER, name, str(uid), role]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


LET_IN = "b'R\\x00\\x00\\x00\\x00' False"


@as_root
async def test_the_server_lets_in_nobody_else(directory):
    """Where the socket can be reached, the kernel says who is there: its own user and root are let in."""
    server = EmbeddedServer(directory)
    dsn = server.start()
    (directory / "socket").chmod(0o777)
    (directory / "socket" / ".s.PGSQL.5432").chmod(0o777)
    assert greeted(directory, 65533).endswith("True")
    assert greeted(directory, 65533, "nobody").endswith("True")
    assert greeted(directory, 0) == greeted(directory, owner(running(directory))) == LET_IN
    assert await query(dsn, "SELECT 1") == 1
    assert "trust" not in (directory / "data" / "pg_hba.conf").read_text()
    server.stop()


@as_root
async def test_a_directory_that_trusted_everybody_does_so_no_more(directory):
    """The rules of an older directory are replaced when its server is started."""
    rules = directory / "data" / "pg_hba.conf"
    rules.write_text("local all all trust\n")
    server = EmbeddedServer(directory)
    dsn = server.start()
    (directory / "socket").chmod(0o777)
    (directory / "socket" / ".s.PGSQL.5432").chmod(0o777)
    assert greeted(directory, 65533).endswith("True")
    assert await query(dsn, "SELECT 1") == 1
    status = rules.stat()
    assert (status.st_uid, status.st_mode & 0o777) == (owner(running(directory)), 0o600)
    server.stop()


@as_root
async def test_a_server_that_trusts_everybody_is_told_otherwise_by_the_next_user(directory):
    """It goes on running, for those who use it, with the new rules."""
    server = EmbeddedServer(directory)
    dsn = server.start()
    (directory / "socket").chmod(0o777)
    (directory / "socket" / ".s.PGSQL.5432").chmod(0o777)
    (directory / "data" / "pg_hba.conf").write_text("local all all trust\n")
    await query(dsn, "SELECT pg_reload_conf()")
    assert WaitLimit(200).until(lambda: greeted(directory, 65533) == LET_IN)
    pid = running(directory)
    other = EmbeddedServer(directory)
    assert other.start() == dsn
    assert WaitLimit(200).until(lambda: greeted(directory, 65533) != LET_IN)
    assert running(directory) == pid
    other.stop()
    server.stop()


def test_an_older_server_has_a_map_for_its_one_role(tmp_path):
    """Before PostgreSQL 16 a map cannot name all roles; names of people are quoted."""
    assert restrict_access(tmp_path, Account(""), 15)
    people = (tmp_path / "pg_ident.conf").read_text()
    assert f'flowstone "{pwd.getpwuid(os.geteuid()).pw_name}" postgres\n' in people
    assert not restrict_access(tmp_path, Account(""), 15)
    assert restrict_access(tmp_path, Account(""), 18)


@as_root
def test_others_cannot_connect(directory, use):
    """The socket is behind a directory that another user cannot enter."""
    server = EmbeddedServer(directory)
    server.start()
    name = str(directory / "socket" / ".s.PGSQL.5432")
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(name)
    program = f"import socket; socket.socket(socket.AF_UNIX).connect({name!r})"
    drop = f"import os, socket; os.setgroups([]); os.setgid(65533); os.setuid(65533); {program}"
    refused = subprocess.run([sys.executable, "-c", drop], capture_output=True, text=True, check=False)
    assert "PermissionError" in refused.stderr
    server.stop()


@as_root
def test_another_user_is_refused_in_a_sentence(directory, use):
    """Who may not use a directory is told which file it may not use."""
    user = use(directory, user="nobody")
    assert user.answer() == (
        f"embedded Postgres cannot use {directory}/start.lock (Permission denied); "
        "allow it, or use another directory"
    )
    user.kill()


@as_root
def test_a_directory_in_a_closed_one_is_refused(place):
    """What root may enter and the server's user may not is named, with a remedy; its mode stays as it is."""
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(StoreUnavailable) as caught:
        EmbeddedServer(closed / "deep" / "pg").start()
    assert str(caught.value) == (
        f"PostgreSQL does not run as root, and {account_for(closed).name} cannot enter {closed}; use a directory "
        "whose parents every user can enter, such as one in /var/lib, or start FlowStone as another user"
    )
    assert closed.stat().st_mode & 0o777 == 0o700


@as_root
async def test_an_empty_directory_of_mkdtemp_will_do(place):
    """The directory itself is ours to open, and the server's parts of it are closed anyway."""
    directory = Path(tempfile.mkdtemp(dir=place))
    server = EmbeddedServer(directory, options={"fsync": "off"})
    assert await query(server.start(), "SELECT 1") == 1
    server.stop()


@as_root
def test_a_closed_umask_closes_no_directory_that_we_make(place, monkeypatch):
    """Directories made on the way can be entered by the server's user; files can still be read by no other."""
    before = os.umask(0o077)
    try:
        server = EmbeddedServer(place / "a" / "b" / "pg", options={"fsync": "off"})
        server.start()
        server.stop()
    finally:
        os.umask(before)


@as_root
def test_no_account_to_become(place, monkeypatch):
    """Root without `postgres` and `nobody` is told to be somebody else."""

    def nobody_there(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", nobody_there)
    with pytest.raises(
        StoreUnavailable, match=r"no user 'postgres' or 'nobody' .*; start FlowStone as another"
    ):
        EmbeddedServer(place / "pg").start()


@as_root
def test_links_are_not_followed(place):
    """A lock file or a log that somebody replaced by a link does not give away what it links to."""
    secret = place / "secret"
    secret.write_text("")
    directory = place / "pg"
    directory.mkdir()
    (directory / "start.lock").symlink_to(secret)
    with pytest.raises(StoreUnavailable, match=r"start\.lock"):
        EmbeddedServer(directory).start()
    assert secret.stat().st_uid == 0
    (directory / "start.lock").unlink()
    (directory / "server.log").symlink_to(secret)
    with pytest.raises(StoreUnavailable, match=r"server\.log"):
        EmbeddedServer(directory).start()
    assert secret.stat().st_uid == 0


def test_the_server_learns_little_of_our_environment(directory, monkeypatch):
    """Secrets stay with us, and variables that mean another server change nothing."""
    monkeypatch.setenv("API_TOKEN", "hush")
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nowhere")
    server = EmbeddedServer(directory)
    server.start()
    environment = Path(f"/proc/{running(directory)}/environ").read_bytes()
    server.stop()
    assert b"hush" not in environment
    assert b"PGPORT" not in environment


def test_permissions_decide_who_enters(tmp_path):
    """Owner, group and others are looked at in the kernel's order."""
    directory = tmp_path / "d"
    directory.mkdir()
    mine = (os.getuid(), os.getgid())
    other = (mine[0] + 1, mine[1] + 1)
    for mode, account, enters in [
        (0o700, mine, True),
        (0o011, mine, False),
        (0o010, (other[0], mine[1]), True),
        (0o701, (other[0], mine[1]), False),
        (0o001, other, True),
        (0o770, other, False),
    ]:
        directory.chmod(mode)
        assert Account("x", account)._enters(directory) == enters
    assert Account("x").barred_from(directory) is None
    shutil.rmtree(directory)
