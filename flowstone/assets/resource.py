"""The marker that makes a parameter a resource instead of a dependency."""

from __future__ import annotations

from flowstone.assets.arguments import is_name
from flowstone.errors import DefinitionError
from flowstone.frozen import frozen

__all__ = ["Resource"]


@frozen
class Resource:
    """Marks a parameter: `Annotated[Pool, Resource]`, or `Annotated[Pool, Resource("warehouse")]`.

    Args:
        name: The resource's name in `Runtime(resources={…})`; default: the name of the parameter.

    Raises:
        DefinitionError: `name` is empty or no text.
    """

    name: str | None = None

    def __post_init__(self) -> None:
        if self.name is not None and not is_name(self.name):
            raise DefinitionError(f"Resource({self.name!r}) takes the name of a resource, a non-empty str.")
