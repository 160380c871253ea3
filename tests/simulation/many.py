"""Many worlds, in several processes, and what came of them."""

from __future__ import annotations

import gc
import multiprocessing
import os
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from itertools import islice

from tests.simulation.planted import planted
from tests.simulation.world import live

__all__ = ["Sum", "many"]

_PORTION = 10
_MOST_STORIES = 5


class Sum:
    """What came of many seeds."""

    def __init__(self):
        self.began = time.monotonic()
        self.seeds = self.steps = self.runs = 0
        self.seconds = 0.0
        self.injected = Counter()
        self.failed = []

    def add(self, outcome):
        self.seeds += 1
        self.steps += outcome.steps
        self.runs += outcome.runs
        self.seconds += outcome.seconds
        self.injected += outcome.injected
        if outcome.failure:
            self.failed.append(outcome)

    def __str__(self):
        took = time.monotonic() - self.began
        faults = ", ".join(f"{kind} {number:,}" for kind, number in sorted(self.injected.items()))
        return (
            f"{self.seeds:,} seeds in {took:.0f} s: {self.seeds / took:.1f} a second, {self.steps:,} steps, "
            f"{self.runs:,} runs, {self.seconds / took:.0f} virtual seconds a second\n"
            f"{self.injected.total():,} faults: {faults}\n"
            f"{len(self.failed)} failed{': ' if self.failed else ''}"
            f"{', '.join(str(outcome.seed) for outcome in self.failed)}"
        )


def portion(seeds, bug):
    """Live through some worlds, in a process of its own."""
    gc.freeze()  # What is there before the first world need not be looked at after each.
    with planted(bug):
        return [live(seed) for seed in seeds]


def many(seeds, *, bug=None, processes=None, minutes=None, enough=None, told=print):
    """Live through the worlds of these seeds, in several processes.

    Args:
        seeds: An iterator of seeds.
        bug: A planted bug, or None.
        processes: How many; default: one for each core.
        minutes: After so many no new world begins.
        enough: After so many failures no new world begins.
        told: Called with the story of each of the first failures.
    """
    seeds, total = iter(seeds), Sum()
    processes = processes or os.cpu_count() or 1
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        under_way = set()
        while True:
            over = minutes is not None and time.monotonic() - total.began > 60 * minutes
            over = over or (enough is not None and len(total.failed) >= enough)
            while not over and len(under_way) < 2 * processes and (some := list(islice(seeds, _PORTION))):
                under_way.add(pool.submit(portion, some, bug))
            if not under_way:
                return total
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for outcome in (outcome for future in done for outcome in future.result()):
                total.add(outcome)
                if outcome.failure and len(total.failed) <= _MOST_STORIES:
                    told(outcome.story + "\n")
