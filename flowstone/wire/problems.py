"""What is wrong with a request, or with the server (RFC 9457)."""

from __future__ import annotations

from typing import Final

from flowstone.wire.model import Model

__all__ = ["PROBLEM_TYPE", "ProblemModel", "WrongModel"]

PROBLEM_TYPE: Final = "application/problem+json"


class WrongModel(Model):
    """One thing that is wrong with a request."""

    at: str
    """Where: `query.limit`, `body.asset`."""
    message: str
    """What."""


class ProblemModel(Model):
    """What is wrong (RFC 9457)."""

    type: str
    """The class of the error, such as `AssetNotFound`."""
    title: str
    """The HTTP status in words."""
    status: int
    """The HTTP status."""
    detail: str
    """What is wrong, in a sentence."""
    remedy: str | None = None
    """What to do about it, in a sentence."""
    instance: str | None = None
    """The path that was asked for."""
    errors: list[WrongModel] | None = None
    """Of a request that cannot be read: each thing that is wrong with it."""
