"""From an object that was found to the run that is asked for."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from flowstone.assets.asset import Asset
from flowstone.assets.automation.run_request import RunRequest
from flowstone.assets.dynamic_partitions import DynamicPartitions
from flowstone.assets.partition_keys import encode_partition
from flowstone.errors import DefinitionError, PartitionError
from flowstone.printable import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowstone.assets.automation.sensor import SensorContext
    from flowstone.sensors.found import FoundObject

__all__ = ["TAG", "Asking"]

TAG = "object"
"""The tag of a run that says for which object it was asked for."""

_log = logging.getLogger("flowstone.sensors")


class Asking:
    """Makes requests, in one of two ways: by a function of the user, or for an asset, with what is said of it.

    Args:
        where: The sensor as it was written, for error messages.
        asset: Name, `Asset` or decorated function.
        partition: Which partition an object is for; None: see `FileSensor`.
        config: The config of the run for an object.
        request: Makes the whole request; instead of all else.
        options: What else each request says.

    Raises:
        DefinitionError: Something of that is missing, or has the wrong type.
    """

    def __init__(
        self,
        where: str,
        asset: Any,
        *,
        partition: Callable[[FoundObject], Any] | None,
        config: Callable[[FoundObject], Any] | None,
        request: Callable[[FoundObject], RunRequest | None] | None,
        options: Mapping[str, Any],
    ) -> None:
        named: object = asset.name if isinstance(asset, Asset) else asset
        for name, function in {"partition": partition, "config": config, "request": request}.items():
            if function is not None and not callable(function):
                raise DefinitionError(
                    f"{where}: {name}= takes a function of the object found, not {function!r:.100}."
                )
        if request is not None and (asset, partition, config) != (None, None, None):
            raise DefinitionError(
                f"{where}: request= makes the whole request; drop asset=, partition= and config=."
            )
        if request is None and not (isinstance(named, str) and named):
            raise DefinitionError(
                f"{where} takes asset=, the name of an asset, or request=, a function that returns a RunRequest."
            )
        self._asset = named if isinstance(named, str) else ""
        self._partition = partition
        self._config = config
        self._request = request
        self._options = dict(options)

    def request_for(self, found: FoundObject, context: SensorContext) -> RunRequest | None:
        """What is asked for because of an object, or None if nothing is.

        Raises:
            DefinitionError: It takes more to know the partition.
        """
        if self._request is not None:
            return self._request(found)
        partition = self._key(found, context)
        if partition is None and context.partitions_of(self._asset) is not None:
            return None
        return RunRequest(
            self._asset,
            partition=partition,
            config=self._settings(found, context),
            tags={TAG: _text(found.path), **self._options.get("tags", {})},
            join=False,  # A run that is under way may have read what was there before.
            **{name: value for name, value in self._options.items() if name != "tags"},
        )

    def _key(self, found: FoundObject, context: SensorContext) -> Any:
        """Its partition; a dynamic set is given those it does not have."""
        partitions = context.partitions_of(self._asset)
        if self._partition is not None:
            partition = self._partition(found)
        elif partitions is None:
            return None
        elif isinstance(partitions, DynamicPartitions):
            partition = self._own_key(found)
        else:
            raise DefinitionError(
                f"{context.name}: {self._asset!r} has {partitions!r:.200}: give partition=, a function from the "
                "object found to its partition."
            )
        if partition is not None and isinstance(partitions, DynamicPartitions):
            context.add_partitions(partitions.name, [partition])
        return partition

    def _own_key(self, found: FoundObject) -> str | None:
        try:
            encode_partition(found.path)
        except PartitionError as error:
            _log.warning(
                "%s is left out: its path cannot be a partition (%s). Give partition=, which may.",
                one_line(_text(found.path)),
                one_line(str(error)),
            )
            return None
        return found.path

    def _settings(self, found: FoundObject, context: SensorContext) -> Any:
        """The config; an asset without partitions is told the path by a field of that name, if it has one."""
        if self._config is not None:
            return self._config(found)
        if context.partitions_of(self._asset) is None and "path" in context.fields_of(self._asset):
            return {"path": found.path}
        return None


def _text(path: str) -> str:
    """A path as text that every store can keep."""
    return path.encode("utf-8", "backslashreplace").decode()
