"""What the environment says about the runtime of a command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from flowstone.cli.problem import CommandError

if TYPE_CHECKING:
    from flowstone.runtime.options import Options
    from flowstone.runtime.settings import Settings

__all__ = ["home", "misspelt", "options", "settings"]


def home() -> Path:
    """The setting `home`: the folder of the command line, `.flowstone` of the current one or `FLOWSTONE_HOME`."""
    from flowstone.runtime.options import Options  # noqa: PLC0415 - `flowstone --help` does without

    return Path(os.environ.get("FLOWSTONE_HOME") or Options.home).expanduser()


def settings() -> Settings | None:
    """What the environment says; None if that is nothing that has to be checked, which is so mostly.

    Raises:
        CommandError: A variable has a value that cannot be.
    """
    from flowstone.runtime.configuration import plain_environment  # noqa: PLC0415 - `flowstone --help` does without

    if plain_environment() is not None:
        return None
    from flowstone.runtime.settings import Settings  # noqa: PLC0415 - as above

    try:
        return Settings()
    except ValueError as error:
        raise CommandError(str(error)) from None


def misspelt() -> list[str]:
    """A sentence for each variable that is nearly a setting."""
    from flowstone.runtime.configuration import misspelt_variables  # noqa: PLC0415 - as above

    return misspelt_variables()


def options() -> Options:
    """The same with everything it leaves unsaid. Raises as `settings`."""
    from flowstone.runtime.configuration import options_from  # noqa: PLC0415 - as above

    return options_from(settings(), {})
