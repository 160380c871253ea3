"""The automations of a pipeline: the decorators that define what happens by itself.

Map of this file
    schedule, sensor        what starts runs
    on                      what is called for events
    add                     what is defined as an object
"""

from __future__ import annotations

import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, overload

from flowstone.assets.automation.decorators import Decorators, line_of, refuse_as_decorator
from flowstone.assets.automation.definitions import merge_automations
from flowstone.assets.automation.listener import define_listener
from flowstone.assets.automation.schedule import checked_name, define_schedule
from flowstone.assets.automation.sensor import define_sensor
from flowstone.assets.interactive import Cells
from flowstone.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from flowstone.assets.asset import Asset
    from flowstone.assets.automation.definitions import DefinedAutomation
    from flowstone.assets.automation.listener import ListensBy
    from flowstone.assets.automation.schedule import CatchUp, Overlap, Tick
    from flowstone.assets.automation.sensor import DefinesSensor, SensorContext

__all__ = ["PipelineAutomations"]

R = TypeVar("R")
F = TypeVar("F", bound="Callable[[Any], object]")


class PipelineAutomations:
    """The calls of `Pipeline` about automations; they stand beside its assets, which they may name."""

    def __init__(self) -> None:
        self._assets: dict[str, Asset[..., Any]] = {}
        self._cells = Cells()
        self._included_in: list[Self] = []
        self._automations: dict[str, DefinedAutomation] = {}
        self._decorators = Decorators()

    @overload
    def schedule(
        self,
        name: str,
        *,
        cron: str,
        timezone: str = "UTC",
        overlap: Overlap = "skip",
        catch_up: CatchUp = "last",
        paused: bool = False,
    ) -> Callable[[Callable[[Tick], R]], Callable[[Tick], R]]: ...

    @overload
    def schedule(
        self,
        name: str,
        *,
        cron: str,
        asset: str | Callable[..., Any],
        partition: Any = None,
        timezone: str = "UTC",
        upstream: bool = True,
        refresh: Literal["all", "missing", "stale"] = "missing",
        overlap: Overlap = "skip",
        catch_up: CatchUp = "last",
        paused: bool = False,
    ) -> None: ...

    def schedule(
        self,
        name: str,
        *,
        cron: str,
        asset: str | Callable[..., Any] | None = None,
        partition: Any = None,
        timezone: str = "UTC",
        upstream: bool = True,
        refresh: Literal["all", "missing", "stale"] = "missing",
        overlap: Overlap = "skip",
        catch_up: CatchUp = "last",
        paused: bool = False,
    ) -> Any:
        """Define a schedule: it starts runs at the instants of a cron expression, each instant once.

        Without `asset` this is a decorator, of a function that is called with the `Tick` and returns a
        `RunRequest`, a list of them, or None. The function may be async.

        Args:
            name: The schedule's name.
            cron: Five fields, or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
            asset: The asset that is computed, where it is always the same; or a selection of several (`raw+`),
                which is looked up at each instant.
            partition: Which partition of it; `"latest"` is the last one that there is at each instant.
            timezone: The name of the time zone that the fields are read in.
            upstream: Whether everything upstream is computed as well.
            refresh: Which existing values are reused: `missing`, `stale` or `all`.
            overlap: While a run of an earlier instant is under way: `skip` starts none, `queue` starts one when
                that is over, `allow` starts one at once.
            catch_up: When nobody was there to fire: `last` fires the last instant that was missed, `skip` none,
                `all` each of the last 1,000.
            paused: Whether it is paused until somebody resumes it.

        Raises:
            DefinitionError: The cron expression never fires or is none, the time zone is unknown, there is no such
                asset yet, or the name is taken.
        """
        frame = sys._getframe(1)
        when: dict[str, Any] = {"cron": cron, "timezone": timezone, "overlap": overlap, "catch_up": catch_up}
        what: dict[str, Any] = {"partition": partition, "upstream": upstream, "refresh": refresh}
        schedule = define_schedule(
            self._assets, line_of(frame), name, asset=asset, paused=paused, **when, **what
        )
        if asset is None:
            return self._decorators.made(
                frame,
                f"schedule({name!r}, cron=…)",
                "give it asset=…",
                lambda function: self._take_automation(schedule.calling(function), frame),
            )
        refuse_as_decorator(frame, f"schedule({name!r}, asset=…)", "asset=")
        return self._take_automation(schedule, frame)

    @overload
    def sensor(
        self,
        name: str,
        function: None = None,
        *,
        every: float = 30.0,
        limit: int = 1000,
        paused: bool = False,
    ) -> Callable[[Callable[[SensorContext], R]], Callable[[SensorContext], R]]: ...

    @overload
    def sensor(
        self,
        name: str,
        function: Callable[[SensorContext], Any],
        *,
        every: float = 30.0,
        limit: int = 1000,
        paused: bool = False,
    ) -> None: ...

    def sensor(
        self,
        name: str,
        function: Callable[[SensorContext], Any] | None = None,
        *,
        every: float = 30.0,
        limit: int = 1000,
        paused: bool = False,
    ) -> Any:
        """Define a sensor: a function that looks at something, again and again, and asks for runs.

        A decorator, or a call with the function. It is called with a `SensorContext`, and yields or returns
        `RunRequest`s; it may be async. What it sets `context.cursor` to is on record together with these runs.

        Args:
            name: The sensor's name.
            function: The function.
            every: Seconds from the end of a look to the next one.
            limit: How many runs one look starts at most; the rest is started by the next ones.
            paused: Whether it is paused until somebody resumes it.

        Raises:
            DefinitionError: It is no function, a number is out of range, or the name is taken.
        """
        frame = sys._getframe(1)
        source = line_of(frame)
        checked_name(name, f"{source}: sensor({name!r:.100})")

        def take(looks: Any) -> None:
            self._take_automation(define_sensor(name, looks, every, limit, paused, source), frame)

        if function is None:
            return self._decorators.made(frame, f"sensor({name!r})", "pass it the function", take)
        refuse_as_decorator(frame, f"sensor({name!r}, function)", "the function in brackets")
        return take(function)

    def on(
        self,
        *kinds: str,
        asset: str | Asset[..., Any] | None = None,
        name: str | None = None,
        timeout: float = 60.0,
    ) -> Callable[[F], F]:
        """Define a listener: a function that is called for events, at least once for each.

        It is called for what is recorded of this pipeline's runs and automations from when it is defined, in the
        order of recording for each run, whatever happens in between. It may be async; other functions run in a
        thread. A call that raises is made again, later each time; other runs' events do not wait for that.

        Args:
            kinds: `run.failed`, `step.succeeded`, `asset.overdue`, …, or the first word for all of its kinds
                (`run`, `step`, `asset`, `automation`); none: every event that is recorded.
            asset: Only events of this asset: its name, or the asset.
            name: Its name among the automations; default: the function's.
            timeout: Seconds that one call may take.

        Raises:
            DefinitionError: There is no such kind, the function does not take an event, or the name is taken.
        """
        frame = sys._getframe(1)
        source = line_of(frame)
        if len(kinds) == 1 and callable(kinds[0]):
            raise DefinitionError(f'{source}: write `@pipeline.on("run.failed")`, with the kinds of events.')
        if any(not isinstance(kind, str) for kind in kinds):
            raise DefinitionError(
                f"{source}: on(…) takes kinds of events as text; a WebhookAlert, which has its own, is added with "
                "pipeline.add(…)."
            )

        def take(function: Any) -> None:
            self._take_automation(define_listener(name, function, kinds, asset, timeout, source), frame)

        return self._decorators.made(frame, f"on({', '.join(map(repr, kinds))})", "", take)

    def add(self, automation: DefinesSensor | ListensBy) -> None:
        """Define what an object does by itself: a `FileSensor`, an `ObjectSensor` or a `WebhookAlert`.

        Args:
            automation: The object, which has a name of its own.

        Raises:
            DefinitionError: It is something else, or its name is taken.
        """
        frame = sys._getframe(1)
        source = line_of(frame)
        given: Any = automation
        ways: list[Any] = [getattr(given, kind, None) for kind in ("sensor", "listener")]
        define: Any = next(filter(callable, ways), None)
        if define is None:
            raise DefinitionError(
                f"{source}: add() takes a FileSensor, an ObjectSensor or a WebhookAlert, not {given!r:.100}."
            )
        self._take_automation(define(source), frame)

    @property
    def automations(self) -> Mapping[str, DefinedAutomation]:
        """Schedules, sensors and listeners by name; a read-only view.

        Raises:
            DefinitionError: A decorator of one decorates nothing.
        """
        self._decorators.check()
        return MappingProxyType(self._automations)

    def _take_automation(self, automation: DefinedAutomation, frame: FrameType) -> None:
        """Add what was defined here, in place of what the same cell of a notebook has defined before."""
        with self._cells.definition(("automation", automation.name), frame, automation.source) as again:
            if again:
                self._replace_automation(self._automations[automation.name], automation)
            else:
                merge_automations(self._automations, {automation.name: automation})

    def _replace_automation(self, old: DefinedAutomation, new: DefinedAutomation) -> None:
        """Here, and wherever the old one was included."""
        if self._automations.get(old.name) is old:
            self._automations[old.name] = new
            for pipeline in self._included_in:
                pipeline._replace_automation(old, new)
