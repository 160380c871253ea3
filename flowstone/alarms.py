"""What is wrong for a while, in the log: said once, again when it is something else, and when it is over.

What is looked at every second is broken every second; a log in which an outage fills the screen hides what came
before it. Health tells at any time what is wrong now.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from contextlib import suppress
from typing import Final

from flowstone.printable import one_line, printable

__all__ = ["Alarms"]

_log = logging.getLogger("flowstone.alarms")

_MOST_SUBJECTS: Final = 1_000
_MOST_TEXTS: Final = 20  # Of one subject: texts with a number or a time in them are new each time.


class Alarms:
    """As the alarms of OTP: set while something is wrong, and cleared when it is over. Not for several threads."""

    def __init__(self) -> None:
        self._said: OrderedDict[str, set[str]] = OrderedDict()

    def set(self, subject: str, text: str) -> None:
        """Log it as a warning, unless that was said of the subject since it last worked."""
        said = self._said.setdefault(subject, set())
        self._said.move_to_end(subject)
        if len(self._said) > _MOST_SUBJECTS:
            self._said.popitem(last=False)
        if text in said or len(said) >= _MOST_TEXTS:
            return
        said.add(text)
        with suppress(BaseException):  # The handlers of a log are the application's.
            _log.warning("%s: %s", one_line(subject), printable(text))

    def clear(self, subject: str, text: str = "it works again") -> None:
        """Log that it is over, if it was set."""
        if self._said.pop(subject, None) is not None:
            with suppress(BaseException):  # As above.
                _log.warning("%s: %s", subject, text)
