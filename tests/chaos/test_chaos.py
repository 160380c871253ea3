"""Chaos in short: each fault once, on real processes and a Postgres that syncs to disk; a planted bug is found."""

from __future__ import annotations

import itertools
import shutil
from random import Random

import asyncpg
import pytest

from flowstone.store.embedded import EmbeddedServer
from tests.chaos.clocks import database_offset, libfaketime, step, stepped_programs
from tests.chaos.file_items import item_round
from tests.chaos.files import FILE_FAULTS, FileReport, file_round
from tests.chaos.mutants import MUTANTS
from tests.chaos.nemesis import FAULTS
from tests.chaos.rounds import Report, one_round
from tests.chaos.ticks import ticks
from tests.chaos.world import World
from tests.postgres import FAST, place_for_servers


@pytest.mark.long
@pytest.mark.timeout(400)  # Half a minute on a quiet machine; these worlds are six processes each.
async def test_whatever_dies_nothing_is_lost_and_nothing_doubled():
    """Two rounds with each fault once: every acknowledged run ends well, and everything about it agrees."""
    report = Report()
    async with World(seed=20261126) as world:
        names = world.random.sample(list(FAULTS), len(FAULTS))
        for faults in (names[::2], names[1::2]):
            await one_round(world, report, faults, spread=4.0, most=100)
    assert report.broken == []
    assert report.acknowledged - report.lost == report.acknowledged > 0
    assert report.executions >= report.steps > 0
    assert report.items > 0 < report.choices
    assert sum(report.faults.values()) == len(FAULTS)


@pytest.mark.long
@pytest.mark.skipif(libfaketime() is None, reason="libfaketime is not installed")
async def test_the_clock_of_the_database_can_be_stepped(monkeypatch):
    """A fault that does nothing would prove nothing."""
    place = place_for_servers()
    server = EmbeddedServer(place / "pg", options=FAST)
    try:
        monkeypatch.setenv("PG_BINDIR", str(stepped_programs(place, libfaketime())))
        connection = await asyncpg.connect(await server.open())
        before = await connection.fetchval("select clock_timestamp()")
        step(database_offset(place), 3600)
        after = await connection.fetchval("select clock_timestamp()")
        await connection.close()
    finally:
        server.stop()
        shutil.rmtree(place)
    assert (after - before).total_seconds() > 3500


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", FILE_FAULTS)
async def test_nothing_is_acknowledged_into_files_that_are_gone(fault):
    """A killed writer loses nothing; one whose files are damaged acknowledges nothing that began afterwards."""
    report = FileReport()
    await file_round(report, Random(20261128), fault)
    assert report.broken == []
    assert report.acknowledged > 0 == report.late == report.lost


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_writer_that_is_killed_again_and_again_comes_to_the_end_of_its_items():
    """Each is recorded once, and what is recorded is not called again."""
    report = FileReport()
    await item_round(report, Random(20261129))
    assert report.broken == []
    assert report.items > 0 < report.acknowledged


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_planted_bug_is_found():
    """Values that come after their records do not load when a node was killed in between."""
    report = Report()
    async with World(seed=1, mutant="values come after records") as world:
        # How soon a node has something to lose depends on the machine.
        for spread in itertools.islice(itertools.cycle((0.8, 1.6, 3.2)), 24):
            await one_round(world, report, ["kill -9 of a node"] * 3, spread=spread, most=60)
            if report.broken:
                break
    assert "does not load" in report.broken[0]


def test_mutants_are_known():
    """Each is of the database or of the nodes."""
    assert len(MUTANTS) == len(set(MUTANTS)) >= 4


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_each_tick_fires_once_and_each_number_is_looked_at_once():
    """Whichever node dies, is stopped, is cut off or has its clock set."""
    report = await ticks(seconds=25, nodes=3, seed=20261129)
    assert report.broken == []
    assert report.ticks > 15 < report.numbers
