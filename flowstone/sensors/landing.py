"""A look at a place where objects land: what there is, what of it is new, and what is asked for.

A look is a plain generator: the runtime calls it in a thread, where it may block. It keeps nothing between looks
but its cursor, so it may look by itself, by hand and on another node as it likes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from flowstone.assets.arguments import is_number, is_stored_name
from flowstone.assets.automation.sensor import define_sensor
from flowstone.errors import DefinitionError, Skip
from flowstone.sensors.memory import Memory, judge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowstone.assets.asset import SourceLine
    from flowstone.assets.automation.run_request import RunRequest
    from flowstone.assets.automation.sensor import Sensor, SensorContext
    from flowstone.sensors.asking import Asking
    from flowstone.sensors.memory import Seen

__all__ = ["Away", "LandingSensor"]

_LONGEST_SETTLE = 86_400.0


class Away(Exception):
    """The place is not there; that is no failure."""


class LandingSensor(ABC):
    """What FileSensor and ObjectSensor have in common.

    Args:
        where: The sensor as it was written, for error messages.
        scope: What it looks at: what was seen of something else does not count.
        name: Its name.
        existing: Whether what is there at the first look is new.
        settle: Seconds for which an object must have been quiet.
        every: Seconds from the end of a look to the next one.
        limit: How many runs one look starts at most.
        paused: Whether it is paused when it is seen for the first time.
        asking: Makes its requests.

    Raises:
        DefinitionError: One of these cannot be.
    """

    def __init__(
        self,
        where: str,
        scope: str,
        *,
        name: str,
        existing: bool,
        settle: float,
        every: float,
        limit: int,
        paused: bool,
        asking: Asking,
    ) -> None:
        if not is_stored_name(name):
            raise DefinitionError(
                f"{where}: name={name!r:.100} takes a non-empty str of at most 200 characters."
            )
        if not is_number(settle, at_least=0.0, at_most=_LONGEST_SETTLE):
            raise DefinitionError(
                f"{where}: settle={settle!r:.50} takes seconds, from 0 to {_LONGEST_SETTLE:,.0f}."
            )
        self.name = name
        self._scope = scope
        self._existing = bool(existing)
        self._settle = float(settle)
        self._every, self._limit, self._paused = every, limit, paused
        self._asking = asking

    def sensor(self, source: SourceLine) -> Sensor:
        """The sensor that `pipeline.add` defines.

        Raises:
            DefinitionError: Its interval or limit cannot work.
        """
        return define_sensor(self.name, self, self._every, self._limit, self._paused, source)

    def __call__(self, context: SensorContext) -> Iterator[RunRequest]:
        """Look once.

        Raises:
            Skip: The place is not there.
        """
        before = Memory.read(context.cursor, self._scope)
        try:
            seen = self._look()
        except Away as away:
            # What lands there once it is there is new.
            context.cursor = (before or Memory(self._scope, frozenset())).written()
            raise Skip(str(away)) from None
        reported, after = judge(
            seen,
            before,
            self._scope,
            existing=self._existing,
            settle=self._settle,
            since=context.since_last,
        )
        for found in reported:
            request = self._asking.request_for(found, context)
            if request is not None:
                yield request
        context.cursor = after.written()

    @abstractmethod
    def _look(self) -> Seen:
        """What there is.

        Raises:
            Away: The place is not there.
        """
