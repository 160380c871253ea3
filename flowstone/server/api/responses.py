"""What the API's description says of answers that are problems."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from flowstone.wire.problems import PROBLEM_TYPE

__all__ = ["problems"]


_EXAMPLES: Final[dict[int, tuple[str, str, str]]] = {
    401: ("Unauthorized", "This needs a token: send `Authorization: Bearer TOKEN`.", ""),
    403: ("Forbidden", "The token 'ci' may read; this needs one that may operate.", ""),
    404: ("AssetNotFound", "There is no asset 'raport'. Did you mean 'report'?", ""),
    409: ("AlreadyDecided", "Approval 0f3a… was approved by ada: the first decision stands.", ""),
    410: ("FeedExpired", "The feed does not reach back to id 17.", ""),
    422: (
        "PartitionError",
        "Asset 'report': '2025-13-01' is no day.",
        "`GET /api/v1/assets/report/partitions` lists them.",
    ),
    503: ("StoreUnavailable", "The database does not answer.", ""),
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer with: these, and those that every route may."""
    return {status: _described(status) for status in sorted({*statuses, 400, 401, 403, 422, 503})}


def _described(status: int) -> dict[str, Any]:
    title = HTTPStatus(status).phrase
    kind, detail, remedy = _EXAMPLES.get(status, (title.title().replace(" ", ""), f"{title}.", ""))
    example = {"type": kind, "title": title, "status": status, "detail": detail}
    return {
        "description": title,
        "content": {
            PROBLEM_TYPE: {
                "schema": {"$ref": "#/components/schemas/ProblemModel"},
                "example": example | ({"remedy": remedy} if remedy else {}),
            }
        },
    }
