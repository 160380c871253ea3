"""A look at a place where objects land: what there is, what of it is new, and what is asked for.

A look is a plain generator: the runtime calls it in a thread, where it may block. It keeps nothing between looks
but its cursor, so it may look by itself, by hand and on another node as it likes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from flowstone.assets.arguments import is_number
from flowstone.assets.automation.schedule import checked_flag, checked_name
from flowstone.assets.automation.sensor import check_pace, define_sensor
from flowstone.errors import AssetNotFound, DefinitionError, Skip
from flowstone.sensors.asking import Asking, text_of
from flowstone.sensors.memory import MOST_OBJECTS, Memory, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from flowstone.assets.asset import Asset, SourceLine
    from flowstone.assets.automation.run_request import RunRequest
    from flowstone.assets.automation.sensor import Sensor, SensorContext
    from flowstone.sensors.found import FoundObject
    from flowstone.sensors.memory import Seen

__all__ = ["LandingSensor", "LocationMissing"]

_LONGEST_SETTLE = 86_400.0


class LocationMissing(Exception):
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
        asset: What is computed for an object, see `Asking`; as `partition`, `config` and `request`.
        partition: Which partition an object is for.
        config: The config of the run for an object.
        request: Makes the whole request.
        options: What else each request says: `upstream`, `refresh`, `priority` and `tags`.

    Attributes:
        is_brief: Whether a look reads what is near, and calls nothing of the user's.

    Raises:
        DefinitionError: One of these cannot be.
    """

    _is_near: ClassVar[bool] = False

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
        asset: Any,
        partition: Callable[[FoundObject], Any] | None,
        config: Callable[[FoundObject], Any] | None,
        request: Callable[[FoundObject], RunRequest | None] | None,
        **options: Any,
    ) -> None:
        checked_name(name, f"{where}: name={name!r:.100}")
        check_pace(where, every, limit, paused)
        if not is_number(settle, at_least=0.0, at_most=_LONGEST_SETTLE):
            raise DefinitionError(
                f"{where}: settle={settle!r:.50} takes seconds, from 0 to {_LONGEST_SETTLE:,.0f}."
            )
        self.name = name
        self.is_brief = self._is_near and partition is None and config is None and request is None
        self._scope = scope
        self._existing = checked_flag(where, "existing", existing)
        self._settle = float(settle)
        self._every, self._limit, self._paused = every, limit, paused
        tags = {} if options["tags"] is None else options["tags"]
        self._asking = Asking(
            where,
            asset,
            partition=partition,
            config=config,
            request=request,
            options={**options, "tags": tags},
        )

    def sensor(self, source: SourceLine) -> Sensor:
        """The sensor that `pipeline.add` defines.

        Raises:
            DefinitionError: Its interval or limit cannot work.
        """
        return define_sensor(self.name, self, self._every, self._limit, self._paused, source)

    def check_assets(self, where: str, assets: Mapping[str, Asset[..., Any]]) -> None:
        """Raise DefinitionError if what it will ask for cannot be; see `AsksForAsset`."""
        self._asking.check_assets(where, assets)

    def __call__(self, context: SensorContext) -> Iterator[RunRequest]:
        """Look once.

        Raises:
            Skip: The place is not there.
        """
        before = Memory.read(context.cursor, self._scope)
        try:
            seen = self._look()
        except LocationMissing as away:
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
        told = frozenset[bytes]() if before is None else before.refused
        tries = _Tries(seen, [*reported, *after.again(seen)], told, context)
        for found in tries.objects:
            try:
                request = self._asking.request_for(found, context)
            except (Skip, DefinitionError, AssetNotFound):
                raise  # It is about all of them.
            except Exception as error:
                tries.refuse(found, error)
                continue
            if request is not None:
                yield context.tolerate(request, partial(tries.refuse, found))
        context.leave_at(lambda: after.after(tries.digests.values(), tries.refused).written())

    @abstractmethod
    def _look(self) -> Seen:
        """What there is.

        Raises:
            LocationMissing: The place is not there.
        """

    def _gathered(self, found: Iterable[tuple[bytes, FoundObject]], remedy: str) -> dict[bytes, FoundObject]:
        """By digest, no more than can be remembered. Raises `ValueError`, whose last part is the remedy."""
        objects: dict[bytes, FoundObject] = {}
        for digest, each in found:
            objects[digest] = each
            if len(objects) > MOST_OBJECTS:
                raise ValueError(f"{self} finds more than {MOST_OBJECTS:,} {remedy}.")
        return objects


class _Tries:
    """What a look makes requests of. Of some no run can be made, which holds up no other: it is told once.

    Args:
        seen: What there is.
        objects: Those of which requests are made.
        told: Digests of those that were refused before, in the same state.
        context: That of the look.

    Attributes:
        objects: As above.
        digests: By the path.
        refused: Digests of those of which no run can be made.
    """

    def __init__(
        self, seen: Seen, objects: Sequence[FoundObject], told: frozenset[bytes], context: SensorContext
    ) -> None:
        paths = {found.path for found in objects}
        self.objects = objects
        self.digests = {found.path: digest for digest, found in seen.objects.items() if found.path in paths}
        self.refused: set[bytes] = set()
        self._told = told
        self._context = context

    def refuse(self, found: FoundObject, why: Exception) -> None:
        """No run can be made of an object; it is tried again by later looks."""
        digest = self.digests[found.path]
        self.refused.add(digest)
        if digest not in self._told:
            self._context.refuse(text_of(found.path), why)
