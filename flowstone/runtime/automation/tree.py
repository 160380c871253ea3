"""The part of the tree that drives automations; `runtime/tree.py` draws it in its place.

Its children follow the definitions: the process `definitions` starts those that are new and stops those that are
gone, when it begins and when the pipelines are reloaded. Children that it has started stop together. One that
crashes is restarted alone. Each incarnation but the first waits at least a second before it does anything, so there
is no need of a limit on how many crash how often: many sensors may fail at the same time because one thing is away
that all of them look at.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flowstone.actors import Child, Crashed, Supervisor, TaskSupervisor
from flowstone.actors.report import log_report
from flowstone.assets.automation.listener import Listener
from flowstone.assets.automation.sensor import Sensor
from flowstone.errors import AutomationError
from flowstone.runtime.automation.conditions import ConditionsDriver
from flowstone.runtime.automation.definitions import Definitions
from flowstone.runtime.automation.following import DeliveryWatch
from flowstone.runtime.automation.freshness import FreshnessWatch
from flowstone.runtime.automation.listeners import ListenerDriver
from flowstone.runtime.automation.problems import subject
from flowstone.runtime.automation.schedule import ScheduleDriver
from flowstone.runtime.automation.sensor import LastLook, SensorDriver
from flowstone.runtime.execution.guard import describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.actors.report import Report
    from flowstone.assets.automation.definitions import DefinedAutomation
    from flowstone.runs.automation import AutomationKey
    from flowstone.runtime.context import RuntimeContext
    from flowstone.runtime.run.local_runs import LocalRuns

__all__ = ["automation_tree"]

_ANY_NUMBER: Final = 1_000_000_000
_LISTENER: Final = "listener:"


def automation_tree(ctx: RuntimeContext, runs: LocalRuns) -> Supervisor:
    """The supervisor of all automations, with those that are defined now."""
    made: list[Supervisor] = []

    def child_of(key: AutomationKey, defined: DefinedAutomation) -> Child[Any]:
        return _child(ctx, runs, key, defined)

    def conditions_of(pipeline: str) -> Child[Any]:
        return Child(f"conditions:{pipeline}", _incarnations(partial(ConditionsDriver, ctx, runs, pipeline)))

    running: dict[str, tuple[str, DefinedAutomation]] = {}
    conditions: dict[str, None] = {}
    children: list[Child[Any]] = [
        Child(
            "definitions",
            lambda: Definitions(ctx, made[0], child_of, conditions_of, running, conditions),
        ),
        Child("deliveries", partial(DeliveryWatch, ctx)),
        Child("freshness", _incarnations(partial(FreshnessWatch, ctx, runs))),
    ]
    made.append(Supervisor(children, max_restarts=_ANY_NUMBER, on_report=partial(_report, ctx)))
    return made[0]


def _report(ctx: RuntimeContext, report: Report) -> None:
    """A failure of a user's function has been told with its own traceback; ours says nothing to anybody.

    A crash that is a fault of ours is a problem until the process has done something again.
    """
    crash = report.exit
    if isinstance(crash, Crashed) and isinstance(crash.error, AutomationError):
        return
    log_report(report)
    if isinstance(crash, Crashed) and (crashed := _crashed(report)):
        ctx.automation_problems[crashed] = f"its process crashed: {describe(crash.error, None).message}"


def _crashed(report: Report) -> str:
    """What a process that crashed drives, as health names it; empty for those that drive nothing."""
    _, _, listener = report.supervisor.partition(f".{_LISTENER}")
    if listener:
        return subject("listener", listener)
    kind, _, name = report.child.partition(":")
    return subject(kind, name) if name or kind == "freshness" else ""


def _child(
    ctx: RuntimeContext, runs: LocalRuns, key: AutomationKey, defined: DefinedAutomation
) -> Child[Any]:
    if isinstance(defined, Listener):
        return Child(f"{defined.kind}:{defined.name}", partial(_listening, ctx, runs, key, defined))
    driver: Any = ScheduleDriver
    if isinstance(defined, Sensor):
        driver = partial(SensorDriver, looks=LastLook())
    make = _incarnations(partial(driver, ctx, runs, key, defined))
    return Child(f"{defined.kind}:{defined.name}", make, shutdown=ctx.settings.cancel_timeout)


def _incarnations(make: Callable[..., Any]) -> Callable[[], Any]:
    """Makes one incarnation after the other, and tells each whether it is the first."""
    begun = False

    def made() -> Any:
        nonlocal begun
        restarted, begun = begun, True
        return make(restarted=restarted)

    return made


def _listening(ctx: RuntimeContext, runs: LocalRuns, key: AutomationKey, listener: Listener) -> Supervisor:
    """One_for_all: a driver that crashed must not meet calls that it does not know."""
    calls: list[TaskSupervisor] = []

    def make_calls() -> TaskSupervisor:
        calls[:] = [TaskSupervisor(shutdown=ctx.settings.cancel_timeout)]
        return calls[0]

    def make_driver(*, restarted: bool) -> ListenerDriver:
        return ListenerDriver(ctx, runs, key, listener, calls[0], restarted=restarted)

    children: list[Child[Any]] = [
        Child("calls", make_calls),
        Child("listener", _incarnations(make_driver)),
    ]
    return Supervisor(children, strategy="one_for_all", max_restarts=_ANY_NUMBER)
