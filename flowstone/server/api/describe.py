"""The description of the API (OpenAPI): what its routes say of themselves, and what all have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.openapi.utils import get_openapi

from flowstone.wire.problems import ProblemModel

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["describe"]

_ABOUT = """\
Everything that can be asked of a FlowStone runtime.

Lists come a page at a time: `limit` entries, and in `next` the `cursor` of the page after. Partitions are
written as people write them (`2025-01-15`, `eu|2025-01`), instants are ISO 8601 in UTC. Whatever goes wrong is a
problem (`application/problem+json`) whose `type` is the class of the error. What is not known, such as a parameter
that is mistyped, is refused and never left out silently.
"""

_REFERENCE = "#/components/schemas/{model}"


def describe(app: FastAPI) -> dict[str, Any]:
    """The description of an application's API; made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title,
            version=app.version,
            description=_ABOUT,
            routes=app.routes,
            license_info={"name": "MIT"},
        )
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        problem = ProblemModel.model_json_schema(ref_template=_REFERENCE)
        schemas.update(problem.pop("$defs", {}))
        schemas["ProblemModel"] = problem
        document["components"]["securitySchemes"] = {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "A token of `flowstone token create`. Whoever asks from this machine needs none.",
            }
        }
        document["security"] = [{"token": []}, {}]
        app.openapi_schema = document
    return app.openapi_schema
