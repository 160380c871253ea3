"""Launch: what runs, of which partitions, and what would happen. Nothing runs before the button is pressed."""

from __future__ import annotations

from datetime import UTC, datetime
from shlex import quote
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.calendar_partitions import DailyPartitions
from flowstone.assets.partition_keys import decode_partition
from flowstone.assets.partition_view import PartitionView
from flowstone.assets.selection import selected
from flowstone.errors import ConfigError, FlowstoneError, PartitionError
from flowstone.frozen import frozen
from flowstone.masking import masked
from flowstone.runs.records import Status
from flowstone.runs.targets import targets_of
from flowstone.server.pages.launch_config import config_of, fields_of, typed_in
from flowstone.server.pages.page import Page
from flowstone.server.partition_ranges import Reader, example_of, ranges_text
from flowstone.server.problems import told
from flowstone.server.views.downstream_of_plan import below
from flowstone.server.views.partition_shapes import overlaid, shapes_of, under_way
from flowstone.server.views.typed import typed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.assets.graph import AssetGraph
    from flowstone.assets.partition_set import PartitionSet
    from flowstone.runs.partition_states import PartitionStates
    from flowstone.runs.records import RunRecord
    from flowstone.runtime.client.plan import Plan
    from flowstone.runtime.runtime import Runtime
    from flowstone.server.asked import Asked
    from flowstone.server.pages.launch_config import AssetFields

__all__ = ["PAGE", "Wanted", "planned"]

_REFRESH: Final = {"stale": "Stale and failed", "missing": "Missing only", "all": "Everything"}
_UNDER_WAY: Final = (Status.RUNNING, Status.WAITING, Status.QUEUED)
_MOST_RUNS: Final = 50
_MOST_WRITTEN: Final = 20  # Partitions and ranges in the command.
_MOST_DAYS: Final = 1_500  # In the calendar: the latest.
_PARALLEL: Final = 4
_MOST_PARALLEL: Final = 64
_MOST_BELOW: Final = 12
_SHAPES: Final[Mapping[str, str]] = {
    "failed": "fail",
    "missing": "never",
    "code": "stale",
    "config": "stale",
    "upstream": "stale",
    "forced": "stale",
}
"""The shape of what is computed for each reason, the loudest first."""


@frozen
class Wanted:
    """What the fields of the page say.

    Attributes:
        asset: The asset's name, or a selection of several; empty where none is chosen yet.
        partitions: Which partitions, as text; empty: none is chosen.
        refresh: Which existing values are computed again.
        upstream: Whether what it needs is computed as well.
        parallel: Steps at a time.
        reason: Why, for those who look at the run later.
        config: What was typed as config, by the names of the fields in the form.
    """

    asset: str
    partitions: str
    refresh: str
    upstream: bool
    parallel: int
    reason: str
    config: Mapping[str, str]

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Wanted:
        """From a query or a form; what it cannot be is what the page begins with."""
        refresh, parallel = fields.get("refresh", "stale"), fields.get("parallel", "")
        number = (
            int(parallel) if parallel.isascii() and parallel.isdigit() and len(parallel) < 4 else _PARALLEL
        )
        return cls(
            fields.get("asset", ""),
            fields.get("partitions", "").strip(),
            refresh if refresh in _REFRESH else "stale",
            fields.get("upstream", "no" if "shown" in fields else "yes") == "yes",
            min(max(number, 1), _MOST_PARALLEL),
            fields.get("reason", "").strip()[:200],
            typed_in(fields),
        )


async def planned(runtime: Runtime, wanted: Wanted, states: PartitionStates | None = None) -> Plan | None:
    """The plan of what is wanted; None where nothing is chosen.

    Raises:
        FlowstoneError: It is not to be had, in a sentence.
    """
    names, target = _chosen(runtime, wanted)
    options: dict[str, Any] = {
        "refresh": wanted.refresh,
        "upstream": wanted.upstream,
        "max_parallel": wanted.parallel,
        "config": config_of(runtime.graph, names, configs(runtime.graph, names, wanted)),
    }
    declared = runtime.graph[target].partitions
    if declared is None:
        return await runtime.plan(wanted.asset, **options)
    if states is None:
        states = (await runtime.partition_states(target))[target]
    places = Reader(declared, states.keys).ranges(wanted.partitions)
    if not places:
        return None
    if places[-1] - places[0] == len(places) - 1 and len(places) > 1:
        ends = (_partition(states, places[0]), _partition(states, places[-1]))
        return await runtime.plan(wanted.asset, start=ends[0], end=ends[1], **options)
    return await runtime.plan(
        wanted.asset, partitions=[_partition(states, place) for place in places], **options
    )


def _chosen(runtime: Runtime, wanted: Wanted) -> tuple[tuple[str, ...], str]:
    """The assets that are wanted, and the one whose partitions are chosen.

    Raises:
        FlowstoneError: There is no such asset, the selection means nothing, or they have different partitions.
    """
    names = selected(runtime.graph, wanted.asset)
    view = PartitionView(runtime.graph, datetime.now(UTC))
    return names, targets_of(view, names, partitions=True).asset


def configs(graph: AssetGraph, names: tuple[str, ...], wanted: Wanted) -> list[AssetFields]:
    """The configs of what is wanted: of the assets, then of what they need, if that is computed as well."""
    needed = [name for name in graph.with_upstream(names) if name not in names] if wanted.upstream else []
    return fields_of(graph, [*reversed(names), *reversed(needed)], wanted.config)


def _partition(states: PartitionStates, place: int) -> Any:
    key = states.keys[place]
    return None if key is None else decode_partition(key)


async def load(asked: Asked) -> Mapping[str, Any]:
    """What is chosen, how its partitions stand, and what would happen."""
    runtime, wanted = asked.runtime, Wanted.of(asked.query)
    values: dict[str, Any] = {
        "wanted": wanted,
        "assets": [name for name in runtime.graph.order() if not runtime.graph[name].is_constant],
        "refreshes": _REFRESH,
        "most_parallel": _MOST_PARALLEL,
        "changed": "changed" in asked.query,
        "problem": "",
        "plan": None,
        "states": None,
        "quick": (),
        "pick": None,
        "undrawn": 0,
        "example": "",
        "overlaps": (),
        "command": "",
        "configs": (),
        "wrong": "",
    }
    if not wanted.asset:
        return values
    try:
        names, target = _chosen(runtime, wanted)
        values["configs"] = configs(runtime.graph, names, wanted)
        reader = None
        if (declared := runtime.graph[target].partitions) is not None:
            states = (await runtime.partition_states(target))[target]
            reader = Reader(declared, states.keys)
            values |= await _partitions(asked, states, declared, reader, wanted)
        plan = await planned(runtime, wanted, values["states"])
    except ConfigError as error:
        return values | {"problem": masked(str(error)), "wrong": f"config.{error.asset}.{error.field}"}
    except PartitionError as error:
        return values | {"problem": masked(str(error)), "wrong": "partitions"}
    except FlowstoneError as error:
        return values | {"problem": told(error)}
    except ValueError as error:
        return values | {"problem": masked(str(error))}
    return values if plan is None else {**values, **await _planned(asked, plan, wanted, reader)}


async def _planned(asked: Asked, plan: Plan, wanted: Wanted, reader: Reader | None) -> Mapping[str, Any]:
    """What would happen."""
    spans = plan.by_asset
    run = [each.asset for each in spans if each.to_run]
    known = await asked.known.read()
    found = list(below(asked.runtime.graph, run, {each.asset for each in spans}, known.states))
    return {
        "plan": plan,
        "spans": spans,
        "shapes": {each.asset: _shape_of(each.reasons) if each.to_run else "reused" for each in spans},
        "touched": len(run),
        "below": found[:_MOST_BELOW],
        "more_below": max(0, len(found) - _MOST_BELOW),
        "lasts": max((each.ends for each in spans), default=0.0) or 1.0,
        "fingerprint": plan.digest,
        "overlaps": await _overlaps(asked.runtime, {each.asset for each in spans}),
        "command": _command(asked, wanted, spans[-1].asset, reader),
    }


def _shape_of(reasons: Mapping[Any, int]) -> str:
    return next((shape for kind, shape in _SHAPES.items() if kind in reasons), "queue")


async def _partitions(
    asked: Asked, states: PartitionStates, declared: PartitionSet[Any], reader: Reader, wanted: Wanted
) -> dict[str, Any]:
    """How the partitions stand, texts for those that are chosen at once, and the calendar of a daily set."""
    labels = reader.labels
    by_status: dict[Status, list[int]] = {}
    for status, first, length in states.spans:
        by_status.setdefault(status, []).extend(range(first, first + length))
    known = await asked.known.read(states.asset)
    overlay = (await under_way(asked.runtime)).get(states.asset, {})
    shapes = shapes_of(overlaid(states, overlay, known.stale.get(states.asset, {})).codes)
    stale = [place for place, shape in enumerate(shapes) if shape == "stale"]
    failed = by_status.get(Status.FAILED, [])
    current = set(by_status.get(Status.SUCCEEDED, ())) | set(failed)
    missing = [place for place in range(len(labels)) if place not in current]
    quick = [
        (name, len(places), ranges_text(places, labels))
        for name, places in (
            ("Failed", failed),
            ("Stale", stale),
            ("Missing", missing),
            ("All", range(len(labels))),
        )
    ]
    found: dict[str, Any] = {"states": states, "quick": quick, "example": example_of(labels)}
    try:
        chosen = reader.ranges(wanted.partitions)
    except FlowstoneError:
        chosen = []
    found["chosen"] = len(chosen)
    if isinstance(declared, DailyPartitions) and labels:
        begin = max(0, len(labels) - _MOST_DAYS)
        found["pick"] = {
            "first": labels[begin],
            "codes": shapes[begin:],
            "pick": [place - begin for place in chosen if place >= begin],
        }
        found["undrawn"] = begin
    return found


async def _overlaps(runtime: Runtime, assets: set[str]) -> list[RunRecord]:
    """Runs under way that were asked for an asset of the plan."""
    runs = await runtime.runs(status=_UNDER_WAY, limit=_MOST_RUNS)
    return [run for run in runs if not assets.isdisjoint(run.assets)]


def _command(asked: Asked, wanted: Wanted, target: str, reader: Reader | None) -> str:
    """The same, as it is typed."""
    verb = "materialize" if reader is None else "backfill"
    words = [typed(asked, verb, wanted.asset, target)]
    if reader is not None:
        words += _written(wanted.partitions, reader)
    words += ["--upstream"] if wanted.upstream else []
    configured = (f"{key.removeprefix('config.')}={text}" for key, text in wanted.config.items())
    words += [f"--config {quote(each)}" for each in configured]
    words += [f"--refresh {wanted.refresh}", f"--max-parallel {wanted.parallel}"]
    return " \\\n  ".join(words)


def _written(text: str, reader: Reader) -> list[str]:
    """Options that name partitions: the command has a range, or names one by one."""
    places, labels = reader.ranges(text), reader.labels
    if places and places[-1] - places[0] == len(places) - 1 and len(places) > 1:
        return [f"--start {quote(labels[places[0]])} --end {quote(labels[places[-1]])}"]
    named = [f"--partition {quote(labels[place])}" for place in places[:_MOST_WRITTEN]]
    return named + ([f"# and {len(places) - _MOST_WRITTEN:,} more"] if len(places) > _MOST_WRITTEN else [])


PAGE: Final = Page("launch", "/launch", "launch.html", load, ("now",), pace=1.0, idle=5.0, stale=True)
