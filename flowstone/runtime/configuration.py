"""From what somebody said, in code or in the environment, to the options a runtime goes by.

`Settings` reads and checks it; it is made of pydantic, which takes longer to import than the rest of FlowStone
together. Where nobody said anything there is nothing to check, so a plain runtime starts without it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from flowstone.runtime.options import Options

if TYPE_CHECKING:
    from flowstone.runtime.settings import Settings

__all__ = ["environment_speaks", "options_from"]


def options_from(settings: Settings | None, given: dict[str, Any]) -> Options:
    """Settings with some fields replaced, or what the environment says, or the defaults.

    Raises:
        ValueError: A field is unknown or out of range, in one sentence.
        TypeError: `settings` is something else.
    """
    given = {name: value for name, value in given.items() if value is not None}
    if settings is None and not given and not environment_speaks():
        return Options()
    from flowstone.runtime.settings import Settings, merged_settings  # noqa: PLC0415 - see the module docstring

    if not isinstance(settings, Settings | None):
        raise TypeError(f"Runtime(settings=…) takes a Settings, not a {type(settings).__name__}.")
    return Options(**merged_settings(settings, given).model_dump())


def environment_speaks() -> bool:
    """Whether any variable is meant for FlowStone."""
    return any(name.upper().startswith("FLOWSTONE_") for name in os.environ)
