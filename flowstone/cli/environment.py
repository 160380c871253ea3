"""What the environment says about the runtime of a command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from flowstone.cli.problem import CommandError
from flowstone.masking import masked

if TYPE_CHECKING:
    from flowstone.runtime.options import Options
    from flowstone.runtime.settings import Settings

__all__ = ["home", "options", "settings"]


def home() -> Path:
    """The folder for what the command line keeps: `.flowstone` of the current one, or `FLOWSTONE_HOME`."""
    return Path(os.environ.get("FLOWSTONE_HOME") or ".flowstone").expanduser()


def settings() -> Settings | None:
    """What the environment says. Nothing, mostly, and then what would read it is not imported.

    Raises:
        CommandError: A variable has a value that cannot be.
    """
    from flowstone.runtime.options import environment_speaks  # noqa: PLC0415 - `flowstone --help` does without

    if not environment_speaks():
        return None
    from pydantic import ValidationError  # noqa: PLC0415 - as above

    from flowstone.runtime.settings import Settings  # noqa: PLC0415 - as above

    try:
        return Settings()
    except ValidationError as error:
        wrong = error.errors()[0]
        name = "FLOWSTONE_" + "_".join(map(str, wrong["loc"])).upper()
        said = masked(repr(wrong["input"]))
        raise CommandError(f"The setting {name} cannot be {said}.", f"{wrong['msg']}.") from None


def options() -> Options:
    """The same with everything it leaves unsaid. Raises as `settings`."""
    from flowstone.runtime.options import options_from  # noqa: PLC0415 - as above

    return options_from(settings(), {})
