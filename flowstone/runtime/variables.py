"""Variables of the environment that are meant for FlowStone but mean nothing to it: mostly a setting, misspelt.

Nobody refuses them. A service of that name in Kubernetes sets `FLOWSTONE_PORT` and more of the kind, and a user's
own pipeline may read what it likes. So only what is nearly a setting is worth a warning.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import fields
from typing import Final

from flowstone.assets.suggest import suggest
from flowstone.runtime.options import Options

__all__ = ["VARIABLES", "misspelt_variables", "unknown_variables", "warn_of_misspelt_variables"]

VARIABLES: Final = "flowstone.variables"
"""The log that warns of them."""

_PREFIX: Final = "FLOWSTONE_"
_OWN: Final = "FLOWSTONE_TEST_"  # Of tests.
_SETTINGS: Final = tuple(field.name.upper() for field in fields(Options))

_log = logging.getLogger(VARIABLES)


def unknown_variables() -> list[str]:
    """The names of variables that begin with `FLOWSTONE_` and are no setting."""
    return sorted(
        name
        for name in os.environ
        if (upper := name.upper()).startswith(_PREFIX)
        and upper.removeprefix(_PREFIX) not in _SETTINGS
        and not upper.startswith(_OWN)
    )


def misspelt_variables() -> list[str]:
    """A sentence for each of them that is nearly a setting, with the name that was meant; never a value."""
    near = ((name, suggest(name.upper().removeprefix(_PREFIX), _SETTINGS)) for name in unknown_variables())
    return [
        f"{name} is no setting, so it changes nothing. Did you mean {_PREFIX}{meant}?"
        for name, meant in near
        if meant is not None
    ]


def warn_of_misspelt_variables() -> None:
    """Say it in the log."""
    for sentence in misspelt_variables():
        with suppress(BaseException):  # The handlers of a log are the application's.
            _log.warning("%s", sentence)
