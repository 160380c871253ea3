"""Whether a call that is being made is written with `await` before it.

A plain call that ends the attempt when it is made first, and returns in a later attempt, would fail on its `await`
only then: after an hour of waiting, or an approval. Nothing but the caller's code knows what is done with the
result, so its next instruction is looked at. Where an interpreter has other instructions, nothing is found out, and
Python itself says it later.
"""

from __future__ import annotations

import opcode
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["is_awaited"]

_AWAIT: Final = opcode.opmap.get("GET_AWAITABLE")
_CACHE: Final = opcode.opmap.get("CACHE")
"""Fills the room between two instructions."""


def is_awaited(caller: FrameType) -> bool:
    """Whether the result of the call that a frame is in goes to `await`."""
    code = caller.f_code.co_code
    following = (code[at] for at in range(caller.f_lasti + 2, len(code), 2))
    return next((each for each in following if each != _CACHE), None) == _AWAIT
