"""What was skipped because something else failed, and where it is planned again together with that.

A failure is mended where it happened, but what was wanted is mostly further downstream. So what is offered for a
partition that failed is the most downstream of what it held up: the plan of that has all that lies between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowstone.assets.partition_labels import step_label
from flowstone.counting import count
from flowstone.frozen import frozen
from flowstone.runs.records import Status
from flowstone.server.addresses import launch_text_path, partition_text
from flowstone.server.partition_ranges import ranges_of
from flowstone.server.views.partition_shapes import unit_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from flowstone.assets.graph import AssetGraph
    from flowstone.runs.partition_states import PartitionStates
    from flowstone.runs.records import StepKey

__all__ = ["HeldUp", "held_up_by", "held_up_without_failure", "number_held_up"]

_LONGEST: Final = 1_500
"""Characters of an address that names partitions: beyond that they are chosen on the page that it leads to."""


@frozen
class HeldUp:
    """Partitions of an asset that were skipped and have no value.

    Attributes:
        asset: The asset's name.
        words: How many they are, in words.
        cause: The step that was the cause, of several one of them.
        launch: Where they are planned with what they need.
    """

    asset: str
    words: str
    cause: str
    launch: str


def number_held_up(states: Mapping[str, PartitionStates]) -> int:
    """How many partitions of all assets were skipped because of a failure, and have no value."""
    return sum(each.held_up for each in states.values())


def held_up_by(graph: AssetGraph, states: Mapping[str, PartitionStates], step: StepKey) -> list[HeldUp]:
    """The most downstream of what was skipped because a step failed."""
    label = step_label(*step)
    waiting = {asset for asset in graph.downstream(step[0]) if label in _skips(states, asset)}
    last = [
        asset for asset in graph.order() if asset in waiting and waiting.isdisjoint(graph.downstream(asset))
    ]
    return [_held_up(graph, states[asset], label, states[asset].skips[label]) for asset in last]


def held_up_without_failure(graph: AssetGraph, states: Mapping[str, PartitionStates]) -> Iterator[HeldUp]:
    """By asset, what was skipped because of something that has not failed any more."""
    failed = set(_failed(states))
    for each in states.values():
        mended = {
            cause: keys for cause, keys in each.skips.items() if cause is not None and cause not in failed
        }
        keys = [key for keys in mended.values() for key in keys]
        if keys:
            yield _held_up(graph, each, next(reversed(mended)), keys)


def _skips(states: Mapping[str, PartitionStates], asset: str) -> Collection[str | None]:
    return states[asset].skips if asset in states else ()


def _failed(states: Mapping[str, PartitionStates]) -> Iterator[str]:
    for asset, each in states.items():
        for status, first, length in each.spans:
            if status is Status.FAILED:
                yield from (step_label(asset, key) for key in each.keys[first : first + length])


def _held_up(graph: AssetGraph, states: PartitionStates, cause: str, keys: Collection[str | None]) -> HeldUp:
    asset = states.asset
    partitions = graph[asset].partitions
    words = "" if partitions is None else count(len(keys), unit_of(partitions))
    return HeldUp(asset, words, cause, _launch(states, keys))


def _launch(states: PartitionStates, keys: Collection[str | None]) -> str:
    wanted = set(keys)
    places = [place for place, key in enumerate(states.keys) if key is not None and key in wanted]
    ranges = [_range(states, first, last) for first, last in ranges_of(places)]
    path = launch_text_path(states.asset, ",".join(ranges))
    return path if len(path) <= _LONGEST else launch_text_path(states.asset, "")


def _range(states: PartitionStates, first: int, last: int) -> str:
    ends = [key for key in (states.keys[first], states.keys[last]) if key is not None]
    return ":".join(dict.fromkeys(map(partition_text, ends)))
