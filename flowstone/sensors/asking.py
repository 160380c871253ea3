"""From an object that was found to the run that is asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flowstone.assets.asset import Asset
from flowstone.assets.automation.called import check_called
from flowstone.assets.automation.run_request import RunRequest
from flowstone.assets.dynamic_partitions import DynamicPartitions
from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.suggest import did_you_mean
from flowstone.errors import ArgumentError, DefinitionError, PartitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowstone.assets.automation.sensor import SensorContext
    from flowstone.assets.partition_set import PartitionSet
    from flowstone.sensors.found import FoundObject

__all__ = ["TAG", "Asking", "text_of"]

TAG = "object"
"""The tag of a run that says for which object it was asked for."""


class Asking:
    """Makes requests, in one of two ways: by a function of the user, or for an asset, with what is said of it.

    Args:
        where: The sensor as it was written, for error messages.
        asset: Name or `Asset`.
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
        try:
            RunRequest("any", **options)
        except ArgumentError as error:
            raise DefinitionError(f"{where}: {str(error).partition(': ')[2]}") from None
        for name, function in {"partition": partition, "config": config, "request": request}.items():
            if function is not None:
                check_called(function, f"{where}: {name}=", "the object found")
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

    def check_assets(self, where: str, assets: Mapping[str, Asset[..., Any]]) -> None:
        """Raise DefinitionError if there is no such asset, or its partitions are another matter than was said.

        Args:
            where: The sensor, as the error begins.
            assets: The assets there are, by name.
        """
        if self._request is not None:
            return  # What it returns is known when it does.
        asset = assets.get(self._asset)
        if asset is None:
            raise DefinitionError(
                f"{where}: there is no asset {self._asset!r:.200}.{did_you_mean(self._asset, assets)} "
                "Name one of this pipeline, or give request=."
            )
        self._check_key(where, asset.partitions)

    def _check_key(self, where: str, partitions: PartitionSet[Any] | None) -> None:
        if (
            partitions is not None
            and self._partition is None
            and not isinstance(partitions, DynamicPartitions)
        ):
            raise DefinitionError(
                f"{where}: {self._asset!r} has {partitions!r:.200}: give partition=, a function from the object "
                "found to its partition."
            )

    def request_for(self, found: FoundObject, context: SensorContext) -> RunRequest | None:
        """What is asked for because of an object, or None if nothing is.

        Raises:
            DefinitionError, AssetNotFound: There is no such asset, or it takes more to know the partition.
            Exception: No run can be made of this one: what a function raised, or gave.
        """
        if self._request is not None:
            return _checked_request(self._request(found))
        partition = self._key(found, context)
        if partition is None and context.partitions_of(self._asset) is not None:
            return None
        return RunRequest(
            self._asset,
            partition=partition,
            config=self._settings(found, context),
            tags={TAG: text_of(found.path), **self._options.get("tags", {})},
            join=False,  # A run that is under way may have read what was there before.
            **{name: value for name, value in self._options.items() if name != "tags"},
        )

    def _key(self, found: FoundObject, context: SensorContext) -> Any:
        """Its partition; a dynamic set is given those it does not have."""
        partitions = context.partitions_of(self._asset)
        self._check_key(context.name, partitions)
        if self._partition is not None:
            partition = self._partition(found)
        else:
            partition = None if partitions is None else _own_key(found)
        if partition is not None and isinstance(partitions, DynamicPartitions):
            context.add_partitions(partitions.name, [partition])
        return partition

    def _settings(self, found: FoundObject, context: SensorContext) -> Any:
        """The config; an asset without partitions is told the path by a field of that name, if it has one."""
        if self._config is not None:
            return self._config(found)
        if context.partitions_of(self._asset) is None and "path" in context.fields_of(self._asset):
            return {"path": found.path}
        return None


def _own_key(found: FoundObject) -> str:
    try:
        encode_partition(found.path)
    except PartitionError as error:
        raise PartitionError(
            f"Its path cannot be a partition ({error}): give partition=, a function that makes one of it."
        ) from None
    return found.path


def _checked_request(given: Any) -> RunRequest | None:
    """A request of its own for each object, also where a function gives the same for several."""
    if given is None:
        return None
    if not isinstance(given, RunRequest):
        raise ArgumentError(
            f"request= gave {given!r:.100} ({type(given).__name__}): return RunRequest(asset, …), or None."
        )
    return replace(given)


def text_of(path: str) -> str:
    """A path as text that every store can keep."""
    return path.encode("utf-8", "backslashreplace").decode()
