"""Errors as `application/problem+json` (RFC 9457): the library's error class as `type`, one sentence, a remedy."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from flowstone import errors
from flowstone.masking import masked
from flowstone.store.protocol import StoreRefused
from flowstone.wire.approvals import ApprovalModel
from flowstone.wire.model import SENTENCE
from flowstone.wire.problems import PROBLEM_TYPE
from flowstone.wire.values import FailureModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request

__all__ = [
    "add_problem_handlers",
    "of_http",
    "of_library",
    "of_request",
    "problem",
    "sentence_of",
    "status_of",
    "told",
]

_log = logging.getLogger(__name__)

_STATUS: Final[Mapping[type[Exception], HTTPStatus]] = {
    errors.AssetNotFound: HTTPStatus.NOT_FOUND,
    errors.RunNotFound: HTTPStatus.NOT_FOUND,
    errors.ValueNotFound: HTTPStatus.NOT_FOUND,
    errors.ApprovalNotFound: HTTPStatus.NOT_FOUND,
    errors.AutomationNotFound: HTTPStatus.NOT_FOUND,
    errors.AccessTokenNotFound: HTTPStatus.NOT_FOUND,
    errors.AccessTokenTaken: HTTPStatus.CONFLICT,
    errors.TokenUnknown: HTTPStatus.NOT_FOUND,
    errors.TokenUsed: HTTPStatus.CONFLICT,
    errors.TokenExpired: HTTPStatus.GONE,
    errors.FeedExpired: HTTPStatus.GONE,
    errors.AlreadyDecided: HTTPStatus.CONFLICT,
    errors.RunCancelled: HTTPStatus.CONFLICT,
    errors.DependencyNotReady: HTTPStatus.CONFLICT,
    errors.PlanOutdated: HTTPStatus.CONFLICT,
    errors.RuntimeStopping: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ResourceUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    StoreRefused: HTTPStatus.INTERNAL_SERVER_ERROR,  # Asking again gets the same answer.
    errors.StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.FlowstoneError: HTTPStatus.UNPROCESSABLE_ENTITY,
}
"""By the nearest class of an error."""

_OF_ROUTER: Final[Mapping[int, str]] = {
    404: "There is nothing at this address.",
    405: "This address does not take that method.",
}


def problem(
    status: int, kind: str, detail: str, *, remedy: str = "", instance: str = "", **more: Any
) -> JSONResponse:
    """The answer that says what is wrong.

    Args:
        status: The HTTP status.
        kind: The error's class.
        detail: What is wrong, in a sentence.
        remedy: What to do about it, in a sentence.
        instance: The path that was asked for.
        more: Further members, such as `errors`.
    """
    body = {"type": kind, "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    rest = {"remedy": remedy, "instance": instance, **more}
    return JSONResponse(
        body | {name: value for name, value in rest.items() if value}, status, media_type=PROBLEM_TYPE
    )


def add_problem_handlers(app: FastAPI) -> None:
    """Have every error of the API answered as a problem."""
    app.add_exception_handler(errors.FlowstoneError, of_library)
    app.add_exception_handler(RequestValidationError, of_request)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(Exception, _of_bug)


def told(error: errors.FlowstoneError) -> str:
    """What is wrong, in a sentence for whoever asks. Where the store is, and who is let in, is for the log."""
    if not isinstance(error, errors.StoreUnavailable):
        return masked(error.sentence)
    _log.warning("The store could not be asked: %s", masked(error.sentence))
    if isinstance(error, StoreRefused):
        return "The store refuses what this asks of it. The log of the server says why."
    return "The store does not answer. The log of the server says why."


def status_of(error: Exception) -> HTTPStatus:
    """The HTTP status of an error of the library."""
    return next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)


async def of_library(request: Request, error: Exception) -> JSONResponse:
    """The answer to an error of the library."""
    assert isinstance(error, errors.FlowstoneError)
    return problem(
        status_of(error),
        type(error).__name__,
        told(error),
        remedy="" if error.remedies is None else masked(error.remedies.http),
        instance=request.url.path,
        **_told_by(error),
    )


def _told_by(error: errors.FlowstoneError) -> dict[str, Any]:
    """What an error says beside its sentence, for programs."""
    known = None if isinstance(error, errors.StoreUnavailable) else error.remedies
    words = {} if known is None else {"python": masked(known.python), "command": masked(known.command)}
    plain = {name: getattr(error, name, None) for name in ("missing", "asset", "field", "position", "run_id")}
    told: dict[str, Any] = {name: value for name, value in plain.items() if value}
    approval = getattr(error, "approval", None)
    if approval is not None:
        told["approval"] = ApprovalModel.of(approval).model_dump(mode="json")
    failure = getattr(error, "failure", None)
    if failure is not None:
        shown = FailureModel.of(failure, traceback=True)
        told["failure"] = None if shown is None else shown.model_dump(mode="json")
    return {"remedies": words, **told}


async def of_request(request: Request, error: Exception) -> JSONResponse:
    """The answer to a request that cannot be read."""
    assert isinstance(error, RequestValidationError)
    wrong = list(error.errors())
    found = [
        {"at": ".".join(map(str, each["loc"]))[:200], "message": _words(each)[:1_000]} for each in wrong[:20]
    ]
    return problem(422, "ArgumentError", found[0]["message"], instance=request.url.path, errors=found)


def sentence_of(error: RequestValidationError) -> str:
    """What is wrong with a request, in a sentence: the first thing that is."""
    return _words(error.errors()[0])[:1_000]


def _words(wrong: Mapping[str, Any]) -> str:
    """What is wrong with one thing, in a sentence."""
    message = str(wrong["msg"])
    if wrong["type"] == SENTENCE:
        return message
    if wrong["type"] == "json_invalid":
        return f"The body is no JSON: {wrong.get('ctx', {}).get('error', message)}."
    # A place is `query`, `path` or `body`, then what it is called there; a union of types adds its own parts.
    name = ".".join(str(part) for part in wrong["loc"][1:])
    if wrong["type"] == "missing":
        return f"`{name:.100}` is missing." if name else "The body is missing."
    if not name:
        return "The body is no JSON object, or does not say that it is JSON (`Content-Type`)."
    return f"`{name:.100}`: {message[:1].lower()}{message[1:]}."


async def of_http(request: Request, error: Exception) -> JSONResponse:
    """The answer to an `HTTPException`."""
    assert isinstance(error, HTTPException)
    kind = HTTPStatus(error.status_code).phrase.title().replace(" ", "")
    by_router = str(error.detail) == HTTPStatus(error.status_code).phrase
    detail = _OF_ROUTER.get(error.status_code, error.detail) if by_router else error.detail
    answer = problem(error.status_code, kind, str(detail), instance=request.url.path)
    answer.headers.update(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        answer.headers["Allow"] = ", ".join(_methods_of(request)) or answer.headers.get("Allow", "GET")
    return answer


def _methods_of(request: Request) -> list[str]:
    """The methods that the API takes at an address; the router knows those of its first route."""
    path = request.url.path.removeprefix(str(request.scope.get("root_path", "")))
    found = (
        method.upper()
        for template, operations in request.app.openapi()["paths"].items()
        if compile_path(template)[0].match(path)
        for method in operations
    )
    return sorted(set(found))


async def _of_bug(request: Request, error: Exception) -> JSONResponse:  # noqa: ARG001 - it is logged, and not shown
    return problem(
        500,
        "InternalError",
        "This server has failed: that is a mistake of ours, and its log says which.",
        instance=request.url.path,
    )
