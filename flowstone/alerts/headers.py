"""Headers that somebody adds to the requests of a webhook: checked where they are written, never shown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.arguments import are_texts
from flowstone.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["checked_headers"]

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # A token of RFC 9110.
_VALUE: Final = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")


def checked_headers(headers: Any, ours: Collection[str]) -> dict[str, str]:
    """These headers, if they can be sent. Values are secrets, and so may be a name that is none.

    Args:
        headers: Texts by name, or None.
        ours: Names, in lower case, that nobody else may set.

    Raises:
        DefinitionError: A name or value cannot be sent.
    """
    if headers is None:
        return {}
    if not are_texts(headers):
        raise DefinitionError(
            "WebhookAlert(headers=…) takes texts by name: a dict of str to str, such as {'Authorization': '…'}."
        )
    given = dict(headers)
    for name, value in given.items():
        if not _NAME.fullmatch(name):
            raise DefinitionError(
                "WebhookAlert(headers=…): the name of a header consists of letters, digits and hyphens, and one of "
                "these does not: give a name such as Authorization."
            )
        if name.lower() in ours:
            raise DefinitionError(
                f"WebhookAlert(headers=…): {name!r} is set by the alert itself: leave it out."
            )
        if not _VALUE.fullmatch(value):
            raise DefinitionError(
                f"WebhookAlert(headers=…): the value of {name!r} has to be printable ASCII on one line, without "
                "blanks around it: remove a line break at its end if it was read from a file."
            )
    return given
