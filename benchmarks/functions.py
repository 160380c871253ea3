"""Makes asset functions by the thousand: parameters are dependencies, so each needs names of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["function"]


def function(name: str, parameters: Sequence[str] = (), body: str = "return 1") -> Callable[..., Any]:
    """An `async def` with the given name, parameters and one-line body, as a user would have typed it."""
    namespace: dict[str, Any] = {"__name__": __name__}
    source = f"async def {name}({', '.join(parameters)}):\n    {body}\n"
    exec(source, namespace)  # noqa: S102 - a thousand functions with distinct parameters cannot be typed by hand
    return namespace[name]
