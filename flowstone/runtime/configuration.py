"""From what somebody said, in code or in the environment, to the options a runtime goes by.

`Settings` reads and checks it; it is made of pydantic, which takes longer to import than the rest of FlowStone
together. Where nobody said anything but text there is nothing to check, so a plain runtime starts without it.

A variable of the environment that begins with `FLOWSTONE_` and is no setting is not refused: Kubernetes sets
`FLOWSTONE_PORT` and others for a service of that name, and a pipeline may read what it likes. Only one that is
nearly a setting is warned of.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.suggest import suggest
from flowstone.runtime.options import Options

if TYPE_CHECKING:
    from flowstone.runtime.settings import Settings

__all__ = [
    "VARIABLES",
    "misspelt_variables",
    "options_from",
    "plain_environment",
    "unknown_variables",
    "warn_of_misspelt_variables",
]

VARIABLES: Final = "flowstone.variables"
"""The log that warns of misspelt variables."""

_PREFIX: Final = "FLOWSTONE_"
_OWN: Final = "FLOWSTONE_TEST_"  # Of tests.
_SETTINGS: Final = tuple(field.name.upper() for field in fields(Options))
_COMMANDS: Final = frozenset({"LISTEN_HOST", "LISTEN_PORT", "SERVER", "TOKEN"})  # Of the command line.
_TEXTS: Final = frozenset({"store", "home"})

_log = logging.getLogger(VARIABLES)


def options_from(settings: Settings | None, given: dict[str, Any]) -> Options:
    """Settings with some fields replaced, or what the environment says, or the defaults.

    Raises:
        ValueError: A field is unknown or out of range, in one sentence.
        TypeError: `settings` is something else.
    """
    given = {name: value for name, value in given.items() if value is not None}
    if settings is None and not given and (said := plain_environment()) is not None:
        return Options(**said)
    from flowstone.runtime.settings import Settings, merged_settings  # noqa: PLC0415 - see the module docstring

    if not isinstance(settings, Settings | None):
        raise TypeError(f"Runtime(settings=…) takes a Settings, not a {type(settings).__name__}.")
    return Options(**merged_settings(settings, given).model_dump())


def plain_environment() -> dict[str, Any] | None:
    """The settings that the environment has if they are nothing but text, of which any is right; else None."""
    named = {name.upper().removeprefix(_PREFIX): name for name in os.environ if _is_ours(name)}
    said = {name.lower(): os.environ[variable] for name, variable in named.items() if name in _SETTINGS}
    return said if said.keys() <= _TEXTS else None


def _is_ours(variable: str) -> bool:
    return variable.upper().startswith(_PREFIX)


def unknown_variables() -> list[str]:
    """The names of variables that begin with `FLOWSTONE_` and are no setting."""
    return sorted(
        name
        for name in os.environ
        if (upper := name.upper()).startswith(_PREFIX)
        and upper.removeprefix(_PREFIX) not in {*_SETTINGS, *_COMMANDS}
        and not upper.startswith(_OWN)
    )


def misspelt_variables() -> list[str]:
    """A sentence for each of them that is nearly a setting, with the name that was meant; never a value."""
    near = ((name, suggest(name.upper().removeprefix(_PREFIX), _SETTINGS)) for name in unknown_variables())
    return [
        f"{name} is not a setting, so it changes nothing. Did you mean {_PREFIX}{meant}?"
        for name, meant in near
        if meant is not None
    ]


def warn_of_misspelt_variables() -> None:
    """Say it in the log."""
    for sentence in misspelt_variables():
        with suppress(BaseException):  # The handlers of a log are the application's.
            _log.warning("%s", sentence)
