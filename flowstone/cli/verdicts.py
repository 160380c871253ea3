"""What a check found."""

from __future__ import annotations

from typing import Literal

from flowstone.frozen import frozen

__all__ = ["Check"]


@frozen
class Check:
    """One finding.

    Attributes:
        name: What was looked at.
        verdict: "ok", "note" (works, could be better) or "wrong".
        found: What is the case.
        remedy: What to do about it; empty if nothing.
    """

    name: str
    verdict: Literal["ok", "note", "wrong"]
    found: str
    remedy: str = ""
