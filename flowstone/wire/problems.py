"""What is wrong with a request, or with the server (RFC 9457)."""

from __future__ import annotations

from typing import Final

from flowstone.wire.approvals import ApprovalModel
from flowstone.wire.model import Model
from flowstone.wire.values import FailureModel

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
    remedies: dict[str, str] | None = None
    """What to do about it in the words of other interfaces: `python`, `command`."""
    missing: list[str] | None = None
    """Of `DependencyNotReady`: the upstream assets without a value."""
    asset: str | None = None
    """Of `ConfigError`: the asset."""
    field: str | None = None
    """Of `ConfigError`: the field."""
    position: int | None = None
    """Of `SelectionError`: where in its text."""
    run_id: str | None = None
    """Of `RunCancelled`: the run."""
    approval: ApprovalModel | None = None
    """Of `AlreadyDecided`: what became of it."""
    failure: FailureModel | None = None
    """Of `AutomationError`: why."""
