"""Errors as `application/problem+json` (RFC 9457): the library's error class as `type`, one sentence, a remedy."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from flowstone import errors
from flowstone.masking import masked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request

__all__ = ["PROBLEM_TYPE", "add_problem_handlers", "of_http", "problem"]

PROBLEM_TYPE: Final = "application/problem+json"

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
    errors.AlreadyDecided: HTTPStatus.CONFLICT,
    errors.RunCancelled: HTTPStatus.CONFLICT,
    errors.DependencyNotReady: HTTPStatus.CONFLICT,
    errors.RuntimeStopping: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.ResourceUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StoreUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.FlowstoneError: HTTPStatus.UNPROCESSABLE_ENTITY,
}
"""By the nearest class of an error."""


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
    app.add_exception_handler(errors.FlowstoneError, _of_library)
    app.add_exception_handler(RequestValidationError, _of_request)
    app.add_exception_handler(HTTPException, of_http)


def _status_of(error: Exception) -> HTTPStatus:
    return next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)


async def _of_library(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.FlowstoneError)
    return problem(
        _status_of(error),
        type(error).__name__,
        masked(error.sentence),
        remedy="" if error.remedies is None else masked(error.remedies.python),
        instance=request.url.path,
    )


async def _of_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = [
        {"at": ".".join(map(str, each["loc"])), "message": str(each["msg"])} for each in error.errors()[:20]
    ]
    first = found[0]
    detail = f"{first['at']}: {first['message']}."
    return problem(422, "ArgumentError", detail, instance=request.url.path, errors=found)


async def of_http(request: Request, error: Exception) -> JSONResponse:
    """The answer to an `HTTPException`."""
    assert isinstance(error, HTTPException)
    kind = HTTPStatus(error.status_code).phrase.title().replace(" ", "")
    answer = problem(error.status_code, kind, str(error.detail), instance=request.url.path)
    answer.headers.update(error.headers or {})
    return answer
