"""What was meant by words typed: a run by how its id begins, an asset or a partition by the nearest known name."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from flowstone.assets.suggest import did_you_mean
from flowstone.cli.labels import key_label
from flowstone.cli.places import shown
from flowstone.errors import RunNotFound

if TYPE_CHECKING:
    from flowstone.runs.records import RunRecord
    from flowstone.store import Store

__all__ = ["find_run", "likely", "likely_in"]

_RUNS: Final = 200  # The newest, of which the assets that were asked for are known.
_WITH_STEPS: Final = 20  # Of the newest of them, what they computed beside that.
_MOST: Final = 1_000  # Steps of one run, and partitions.


async def find_run(store: Store, beginning: str, url: str) -> RunRecord:
    """The one run whose id begins so; whatever the store holds, two questions.

    Raises:
        RunNotFound: There is none, or more than one.
    """
    exact = await store.run(beginning)
    if exact is not None:
        return exact
    found = await store.runs_beginning(beginning, limit=2)
    if len(found) > 1:
        raise RunNotFound(f"{beginning!r} begins more than one run: write more of the id.")
    if not found:
        raise RunNotFound(f"{shown(url)} knows no run {beginning!r}: `flowstone runs` lists them.")
    return found[0]


async def likely(store: Store, asset: str, partition: str | None) -> str:
    """A question with a leading space, such as " Did you mean 'total'?"; empty if nothing is near enough.

    Args:
        store: The run history, open.
        asset: The asset as it was typed.
        partition: Its partition as it was typed, or None.
    """
    current = await store.current_keys(asset)
    known = await _assets(store)
    if not current and asset not in known:
        return did_you_mean(asset, known)
    if partition is None:
        return ""
    return did_you_mean(partition, (key_label(key) for key in islice(current, _MOST) if key is not None))


async def likely_in(store: Store, run: RunRecord, asset: str, key: str | None) -> str:
    """As `likely`, among what a run was asked for and has recorded; `key` is an encoded partition, or None."""
    steps = await store.steps(run.id, limit=_MOST)
    names = dict.fromkeys([*run.assets, *(step.asset for step in steps)])
    if asset not in names:
        return did_you_mean(asset, names)
    known = {step.partition_key for step in steps if step.asset == asset}
    if key in known:
        return ""
    return did_you_mean(key_label(key), (key_label(each) for each in known if each is not None))


async def _assets(store: Store) -> list[str]:
    """Names of assets in the newest runs, the newest first."""
    runs = await store.runs(limit=_RUNS)
    found = dict.fromkeys(name for run in runs for name in run.assets)
    for run in [run for run in runs if run.request.upstream][:_WITH_STEPS]:
        found |= dict.fromkeys(step.asset for step in await store.steps(run.id, limit=_MOST))
    return list(found)
