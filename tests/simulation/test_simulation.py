"""Worlds of several nodes with faults: what must be true is true, and what is planted is found."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.simulation import planted as plants
from tests.simulation.many import many
from tests.simulation.planted import BUGS, planted
from tests.simulation.world import live

SOON = {"left-in-the-queue": 6, "recorded-first": 2}
"""Bugs that are found at once, within so many seeds."""


@pytest.mark.parametrize("seed", range(8))
def test_a_world_with_faults_comes_to_rest(seed):
    """All runs end, nothing is left, and at no instant anything was as it must not be."""
    outcome = live(seed)
    assert outcome.failure is None, outcome.story
    assert outcome.runs > 0


def test_a_seed_is_the_same_world_in_every_process():
    """Whatever hash seed Python has, and whatever the process is called."""

    def digest(hash_seed):
        command = [sys.executable, "-m", "tests.simulation", "--seed", "5"]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    told = digest("7")
    assert "digest" in told
    assert digest("9") == told


@pytest.mark.parametrize("name", SOON)
def test_a_bug_that_is_planted_is_found(name):
    """Its story has the seed, the faults and the last steps, with process and task."""
    with planted(name):
        found = next(outcome for outcome in map(live, range(SOON[name])) if outcome.failure)
    assert found.story.startswith(f"seed {found.seed}: Violation")
    assert "faults: " in found.story
    assert re.search(r"\n +\d+\.\d+  n\d\.\d +\w+", found.story)
    assert live(found.seed).failure is None


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", sorted(BUGS))
def test_every_bug_that_is_planted_is_found(name):
    """Within the number of seeds that is said of it."""
    total = many(range(BUGS[name][1]), bug=name, enough=1, told=lambda _: None)
    assert total.failed, f"{plants.BUGS[name][0].__doc__} Nothing was seen of it in {total.seeds} seeds."
