"""Pauses between tries grow, stay below their limit, and differ between those who wait."""

from __future__ import annotations

import asyncio
from random import Random

from flowstone.backoff import Backoff
from flowstone.testing.clock import VirtualClock


class Unshortened(Random):
    """Always the upper end."""

    def uniform(self, _a: float, b: float) -> float:
        return b


def test_each_pause_is_twice_the_last_up_to_the_longest() -> None:
    backoff = Backoff(0.1, 1.0, Unshortened())
    assert [backoff.pause() for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_after_a_success_it_begins_anew() -> None:
    backoff = Backoff(0.1, 1.0, Unshortened(), factor=3.0)
    first = [backoff.pause() for _ in range(2)]
    backoff.reset()
    assert [backoff.pause() for _ in range(2)] == first


def test_no_pause_is_longer_than_the_longest_or_shorter_than_half_of_what_it_grew_to() -> None:
    backoff = Backoff(4.0, 30.0, Random(1))
    for grown in (4.0, 8.0, 16.0, 30.0, 30.0, 30.0):
        assert grown / 2 <= backoff.pause() <= grown


def test_a_first_pause_beyond_the_longest_is_capped() -> None:
    assert Backoff(5.0, 2.0, Unshortened()).pause() == 2.0


def test_two_who_wait_for_the_same_thing_do_not_come_back_together() -> None:
    one, other = Backoff(1.0, 60.0, Random(1)), Backoff(1.0, 60.0, Random(2))
    assert all(one.pause() != other.pause() for _ in range(20))


async def test_tries_on_the_virtual_clock_come_later_and_later() -> None:
    clock = VirtualClock()
    backoff = Backoff(1.0, 8.0, Unshortened())
    tries: list[float] = []

    async def keep_trying() -> None:
        while True:
            tries.append(clock.monotonic())
            await clock.sleep(backoff.pause())

    trying = asyncio.create_task(keep_trying())
    await clock.advance(23.0)
    trying.cancel()
    assert tries == [0.0, 1.0, 3.0, 7.0, 15.0, 23.0]
