"""The life of a node on the command line: opened, working, told to stop, drained, closed."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from flowstone.cli import environment
from flowstone.cli.labels import request_label
from flowstone.cli.loop import beside
from flowstone.cli.places import shares, shown
from flowstone.cli.problem import INTERRUPTED, OK
from flowstone.cli.serving.node_log import NodeLog
from flowstone.cli.serving.stop_signals import GRACE, StopSignals
from flowstone.cli.session import open_runtime
from flowstone.counting import count

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from flowstone.cli.loading import Loaded
    from flowstone.cli.screen import Screen
    from flowstone.cli.serving.http import Listening
    from flowstone.runs.records import RunRecord
    from flowstone.runs.running_step import RunningStep
    from flowstone.runtime.options import Options
    from flowstone.runtime.runtime import Runtime

__all__ = ["serve_node"]

_NAMED = 3
_TELLING = 2.0  # Seconds for the lines about what has just ended.


async def serve_node(
    screen: Screen,
    loaded: Loaded,
    store: str,
    given: Mapping[str, Any],
    *,
    automate: bool,
    listening: Listening | None = None,
) -> int:
    """Be a node until a signal comes; returns the exit status.

    Args:
        screen: Where it tells what it does.
        loaded: The pipeline.
        store: The store's URL.
        given: Settings by name; None is not said.
        automate: Whether schedules, sensors and listeners act here.
        listening: Where it answers requests of the API and the pages; None: nowhere.
    """
    chosen = _settings(given)
    signals = StopSignals(
        chosen.shutdown_timeout + chosen.cancel_timeout + GRACE,
        chosen.cancel_timeout + GRACE,
        lambda text: (
            screen.line({"event": "node.forced", "message": text}) if screen.json else screen.note(text)
        ),
    )
    signals.attach()
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    open_ = False

    async def call_off() -> None:
        await signals.asked.wait()
        if not open_:
            task.cancel()

    try:
        opening = open_runtime(screen, loaded, store, worker=True, automate=automate, **given)
        async with beside(call_off), opening as runtime, _answering(screen, runtime, listening, store):
            open_ = True
            await _live(screen, runtime, loaded, store, signals, chosen, _held(loaded, automate=automate))
    except asyncio.CancelledError:
        if open_ or not signals.count:
            raise
        task.uncancel()
        screen.note("Stopped before the store was open.")
    status = INTERRUPTED if signals.count > 1 else OK
    signals.done(status)
    return status


@asynccontextmanager
async def _answering(
    screen: Screen, runtime: Runtime, listening: Listening | None, store: str
) -> AsyncIterator[None]:
    """Answer requests while the block runs; says where, before anything else is said."""
    if listening is None:
        yield
        return
    from flowstone.cli.serving.http import serve_http  # noqa: PLC0415 - few commands need it

    if screen.json:
        screen.line({"event": "node.listening", "url": listening.url})
    else:
        screen.show(listening.url)
    if listening.is_for_others and not any(each.revoked_at is None for each in await runtime.tokens()):
        made = f"`flowstone token create --role operate --name NAME --store {shown(store)}`"
        when = "" if shares(store) else " before it starts"
        screen.note(f"Nobody can look from elsewhere yet: make a token with {made}{when}.", "yellow")
    async with serve_http(runtime, listening):
        yield


def _settings(given: Mapping[str, Any]) -> Options:
    from flowstone.runtime.configuration import options_from  # noqa: PLC0415 - `flowstone --help` does without

    return options_from(environment.settings(), dict(given))


def _held(loaded: Loaded, *, automate: bool) -> str:
    """How many of what the node has: `3 assets, 1 schedule`."""
    assets = loaded.pipeline.assets.values()
    held, kinds = [count(len(assets), "asset")], Counter[str]()
    if automate:
        kinds.update(each.kind for each in loaded.pipeline.automations.values())
        kinds.update("condition" for asset in assets if asset.automation is not None)
    return ", ".join(held + [count(number, kind) for kind, number in kinds.items()])


async def _live(
    screen: Screen,
    runtime: Runtime,
    loaded: Loaded,
    store: str,
    signals: StopSignals,
    chosen: Options,
    held: str,
) -> None:
    log = NodeLog(screen, runtime)
    async with (
        runtime.subscribe() as events,
        runtime.subscribe("run.finished") as ends,
        beside(lambda: log.follow(events)),
    ):
        log.tell(
            "node.started",
            f"node {runtime.node} works for {loaded.target} ({held}) with {shown(store)}; "
            "Ctrl-C or SIGTERM stops it",
            node=runtime.node,
            pipeline=loaded.pipeline.name,
            store=shown(store),
        )
        await signals.asked.wait()
        ends.taken()
        left = runtime.live_runs()
        log.tell(
            "node.stopping",
            _waits_for(left, runtime.running_steps(), chosen),
            "yellow",
            node=runtime.node,
            runs=[run.id for run in left],
            within=chosen.shutdown_timeout,
        )

        await _stop(runtime, log, signals, chosen)
        events.close()
        await log.all_logged(_TELLING)
        ended = {event.run_id for event in ends.taken()}
        handed_back = [run.id for run in left if run.id not in ended]
        to_whom = "other nodes" if shares(store) else "the next `flowstone serve`"
        words = f"; {count(len(handed_back), 'run')} left to {to_whom}" if handed_back else ""
        log.tell("node.stopped", f"stopped{words}", node=runtime.node, handed_back=handed_back)


async def _stop(runtime: Runtime, log: NodeLog, signals: StopSignals, chosen: Options) -> None:
    """Let what runs end for `shutdown_timeout`, or until a second signal; then say what is cut off."""

    def cut_off(event: str, why: str) -> None:
        runs, steps = runtime.live_runs(), runtime.running_steps()
        if runs or steps:
            log.tell(event, f"{why}, and cancels or hands back {_named(runs, steps)}", "yellow")

    async def tell_late() -> None:
        await asyncio.sleep(chosen.shutdown_timeout)
        if not signals.urged.is_set():
            cut_off("node.late", f"has waited {chosen.shutdown_timeout:g} s")

    async def hurry() -> None:
        await signals.urged.wait()
        cut_off("node.urged", "stops now")
        with suppress(Exception):  # The polite stop, which waits for the same runs, says what is wrong.
            await runtime.drain(0)

    async with beside(hurry, tell_late):
        await runtime.drain()


def _waits_for(runs: Sequence[RunRecord], steps: Sequence[RunningStep], chosen: Options) -> str:
    """`stops: waits at most 30 s for 1 run (backfill visits), now at visits[2025-01-01] and 2 more; ...`."""
    if not runs and not steps:
        return "stops: takes no more runs, and none runs here"
    within = f"waits at most {chosen.shutdown_timeout:g} s"
    return f"stops: {within} for {_named(runs, steps)}; a second signal stops now"


def _named(runs: Sequence[RunRecord], steps: Sequence[RunningStep]) -> str:
    """`2 runs (backfill visits, materialize total), now at visits[2025-01-01] and 2 more`."""
    names = [request_label(run) for run in runs[:_NAMED]]
    more = f" and {len(runs) - _NAMED:,} more" if len(runs) > _NAMED else ""
    under_way = ", ".join(step.name for step in steps[:_NAMED])
    others = f" and {len(steps) - _NAMED:,} more" if len(steps) > _NAMED else ""
    what = f", now at {under_way}{others}" if steps else ""
    which = f"{count(len(runs), 'run')} ({', '.join(names)}{more})" if runs else "steps of other nodes' runs"
    return f"{which}{what}"
