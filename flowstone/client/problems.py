"""From an answer that something is wrong to the exception that the runtime raises for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from flowstone import errors
from flowstone.errors import AccessDenied, FlowstoneError, ServerFailed, ServerUnavailable
from flowstone.printable import one_line
from flowstone.remedies import Remedies
from flowstone.wire.problems import ProblemModel

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["error_of", "no_server"]

_LONGEST: Final = 4_000


def error_of(status: int, body: bytes, content_type: str, server: str) -> FlowstoneError:
    """The exception for an answer that is none of success.

    Args:
        status: Its HTTP status.
        body: Its body.
        content_type: What it says that is.
        server: The address of the server, as it may be shown.
    """
    try:
        told = ProblemModel.model_validate_json(body) if "json" in content_type else None
    except ValidationError:
        told = None
    if told is None:
        return no_server(server, status, content_type)
    remedies = _remedies(told)
    sentence = told.detail[:_LONGEST]
    if status in {401, 403}:
        return AccessDenied(sentence, remedies=_access(remedies, status))
    kind = getattr(errors, told.type, None) if told.type in errors.__all__ else None
    if isinstance(kind, type) and issubclass(kind, FlowstoneError):
        return _made(kind, sentence, remedies, told)
    if status >= 500:
        return ServerFailed(f"{server} answers: {sentence}")
    return errors.ArgumentError(sentence, remedies=remedies)


def no_server(server: str, status: int, content_type: str) -> ServerUnavailable:
    """The error for an answer that is none of a FlowStone server."""
    said = one_line(content_type.partition(";")[0])[:100] or "nothing more"
    check = "Check the address, and any proxy on the way to it."
    return ServerUnavailable(
        f"{server} answers as no FlowStone server does (status {status}, {said}).",
        remedies=Remedies(check, check),
    )


def _remedies(told: ProblemModel) -> Remedies | None:
    words = told.remedies or {}
    http = told.remedy or ""
    if not (words or http):
        return None
    return Remedies(
        words.get("python", http)[:_LONGEST], words.get("command", http)[:_LONGEST], http[:_LONGEST]
    )


def _access(known: Remedies | None, status: int) -> Remedies | None:
    if known is not None or status != 401:
        return known
    return Remedies(
        "Give a token that `flowstone token create` made: Client(url, token=…).",
        "Give a token that `flowstone token create` made, by FLOWSTONE_TOKEN or --token-file.",
    )


def _made(
    kind: type[FlowstoneError], sentence: str, remedies: Remedies | None, told: ProblemModel
) -> FlowstoneError:
    """The exception, with what it carries."""
    error = kind(sentence)
    if remedies is not None:
        error.remedies = remedies
    carried: Mapping[str, Any] = {
        "missing": None if told.missing is None else tuple(told.missing),
        "asset": told.asset,
        "field": told.field,
        "position": told.position,
        "run_id": told.run_id,
        "approval": None if told.approval is None else told.approval.as_record(),
        "failure": None if told.failure is None else told.failure.as_record(),
    }
    for name, value in carried.items():
        if value is not None and hasattr(error, name):
            setattr(error, name, value)
    return error
