"""Where a command keeps things, and what a word of the command line means as a partition."""

from __future__ import annotations

from datetime import date

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.partition_labels import partition_argument
from flowstone.cli.places import directory_of, history, shares, shown
from flowstone.cli.problem import CommandError


def test_directory_of(tmp_path):
    """A file store has a directory, others have none, and an unknown one is wrong usage."""
    assert directory_of(f"file://{tmp_path}") == tmp_path
    assert str(directory_of("file://a%20b")) == "a b"
    assert directory_of("memory://") is None
    with pytest.raises(CommandError, match="--store"):
        directory_of("ftp://x")


def test_a_bad_store_does_not_give_its_password_away():
    """A URL may carry a secret, so an error repeats nothing of it but its kind."""
    with pytest.raises(CommandError) as caught:
        directory_of("mysql://me:secret@host/db")
    assert "secret" not in str(caught.value)
    assert "mysql" in str(caught.value)


async def test_history_of_a_place_where_nothing_ran(tmp_path):
    """A store that does not exist yet is empty, and looking does not make it."""
    async with history(f"file://{tmp_path / 'none'}") as store:
        assert await store.runs() == []
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("file://runs", "file://runs"),
        ("memory://", "memory://"),
        ("embedded://.flowstone/pg", "embedded://.flowstone/pg"),
        ("postgresql://me:secret@host:5433/runs?sslmode=disable", "postgresql://me@host:5433/runs"),
        ("postgres://host/runs?password=secret", "postgresql://host/runs"),
    ],
)
def test_a_store_is_shown_without_its_secrets(url, seen):
    """What commands print of a URL has neither password nor options."""
    assert shown(url) == seen


@pytest.mark.parametrize(
    ("url", "expected"),
    [("file://runs", False), ("memory://", False), ("embedded://pg", True), ("postgresql://h/d", True)],
)
def test_databases_are_shared(url, expected):
    """Only a database is for several processes."""
    assert shares(url) is expected


async def test_history_of_a_database_that_is_no_store(empty_database):
    """An empty database is an empty history, and looking leaves it empty."""
    async with history(empty_database) as store:
        assert await store.runs() == []
    connection = await asyncpg.connect(empty_database)
    try:
        assert await connection.fetchval("select count(*) from pg_namespace where nspname = 'flowstone'") == 0
    finally:
        await connection.close()


async def test_history_of_an_embedded_store_that_is_not_there(tmp_path):
    """Looking starts no server where there never was one."""
    async with history(f"embedded://{tmp_path}/pg") as store:
        assert await store.runs() == []
    assert list(tmp_path.iterdir()) == []


async def test_history_of_memory_is_refused():
    """Nothing can be remembered in memory from one command to the next."""
    with pytest.raises(CommandError) as caught:
        async with history("memory://"):
            pass
    assert "--store" in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (None, None),
        ("eu", "eu"),
        ("2025-01-15", "2025-01-15"),
        ("d:2025-01-15", date(2025, 1, 15)),
        ("i:7", 7),
        ("i:seven", "i:seven"),
        ("http://x", "http://x"),
        ("", ""),
    ],
)
def test_partition_argument(text, meaning):
    """A plain word is itself; an exact key is what it encodes; what only looks like one is a word."""
    assert partition_argument(text) == meaning


@given(st.integers() | st.dates() | st.datetimes() | st.tuples(st.integers(), st.text(max_size=5)))
def test_every_exact_key_can_be_given_back(value):
    """Whatever `--json` prints as `partition_key` means the same partition as an argument."""
    found = partition_argument(encode_partition(value))
    assert found == value
    assert type(found) is type(value)
