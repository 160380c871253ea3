"""The names and ids that are part of addresses."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

__all__ = ["AssetName", "RunId"]

AssetName = Annotated[str, Path(description="The name of the asset.", examples=["report"])]
RunId = Annotated[str, Path(description="The id of the run.", examples=["0197c2d1a4c7f00e5b1d0c2b9a13"])]
