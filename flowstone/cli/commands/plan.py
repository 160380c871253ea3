"""`flowstone plan`: what a request would run, what it would reuse, and why; nothing is executed."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowstone.assets.partition_labels import partition_argument
from flowstone.cli.asset_keys import check_names
from flowstone.cli.config_options import ConfigOption, config_argument
from flowstone.cli.labels import duration, key_label, step_label
from flowstone.cli.loading import load
from flowstone.cli.loop import run_async
from flowstone.cli.older_values import older_hint
from flowstone.cli.options import (
    AssetSelection,
    Debug,
    End,
    Json,
    Partitions,
    RefreshChoice,
    Start,
    StoreUrl,
    Target,
    refuse_both,
    whole,
)
from flowstone.cli.screen import Screen
from flowstone.cli.session import open_runtime
from flowstone.cli.tables import table
from flowstone.counting import count

if TYPE_CHECKING:
    from flowstone.cli.loading import Loaded
    from flowstone.runtime.client.plan import Plan, PlannedStep

__all__ = ["plan"]


def plan(
    target: Target,
    asset: AssetSelection,
    *,
    start: Start = None,
    end: End = None,
    partition: Partitions = None,
    upstream: Annotated[
        bool, typer.Option("--upstream", help="Include everything upstream.", show_default=False)
    ] = False,
    refresh: Annotated[
        RefreshChoice | None,
        typer.Option("--refresh", help="Which existing values would be computed again.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    limit: Annotated[int, whole("--limit", "How many steps to list.", least=0)] = 50,
    store: StoreUrl,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what would run and why, without running it.

    With one --partition, or for an asset without partitions, this is what `materialize` would do;
    with several, a range or none, what `backfill` would do.
    """
    with Screen(json=json, debug=debug) as screen:
        refuse_both(partition, start, end)
        keys = [partition_argument(text) for text in partition or ()]
        selection: dict[str, Any] = {
            "partition": keys[0] if len(keys) == 1 else None,
            "partitions": keys if len(keys) > 1 else None,
            "start": partition_argument(start),
            "end": partition_argument(end),
            "upstream": upstream,
            "refresh": refresh,
        }
        loaded = load(target)
        check_names(loaded, asset, keys, start=selection["start"], end=selection["end"])
        selection["config"] = config_argument(loaded, asset, config)
        planned = run_async(_ask(screen, loaded, store, asset, selection))
        if screen.json:
            screen.document(_document(planned))
        else:
            _show(screen, planned, limit)
            if upstream and refresh is None and planned.refresh == "all":
                screen.note(
                    "As `materialize --upstream` does, this computes everything, whatever exists; "
                    "with either, --refresh stale or --refresh missing reuses values."
                )


async def _ask(screen: Screen, loaded: Loaded, store: str, asset: str, selection: dict[str, Any]) -> Plan:
    async with open_runtime(screen, loaded, store) as runtime:
        return await runtime.plan(asset, **selection)


def _show(screen: Screen, planned: Plan, limit: int) -> None:
    shown = table(screen, "step", "action", "reason")
    for step in _listed(planned, limit):
        shown.add_row(step_label(step.asset, step.partition_key), step.action, step.because)
    if limit and len(planned):
        screen.show(shown, "")
    about = f", about {duration(planned.expected)}" if planned.to_run and planned.expected else ""
    screen.show(
        f"{count(len(planned), 'step')}: {planned.to_run:,} to run, {planned.to_reuse:,} to reuse{about}"
    )
    for warning in planned.warnings:
        screen.note(warning)
    if outdated := [step_label(step.asset, step.partition_key) for step in planned.outdated()]:
        screen.note(older_hint(len(outdated), outdated[0], "would be"))
    if len(planned) > limit:
        screen.note(f"{count(len(planned) - limit, 'more step')}: --limit N or --json shows them.")


def _listed(planned: Plan, limit: int) -> list[PlannedStep]:
    """The first steps; of a plan that is too long to list, those that would run before those that would not."""
    if len(planned) <= limit:
        return list(planned)
    runs = list(islice((step for step in planned if step.action == "run"), limit))
    return runs + list(islice((step for step in planned if step.action != "run"), limit - len(runs)))


def _document(planned: Plan) -> dict[str, Any]:
    return {
        "to_run": planned.to_run,
        "to_reuse": planned.to_reuse,
        "expected": planned.expected,
        "by_reason": dict(planned.by_reason),
        "warnings": list(planned.warnings),
        "outdated": sum(1 for _ in planned.outdated()),
        "steps": [
            {
                "asset": step.asset,
                "partition": None if step.partition_key is None else key_label(step.partition_key),
                "partition_key": step.partition_key,
                "action": step.action,
                "reason": step.reason,
                "because": step.because,
                "expected": step.expected,
            }
            for step in planned
        ],
    }
