"""The config of a run on the Launch page: its fields are typed, checked before anything runs, and go along."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, SecretStr

from flowstone import Config, DailyPartitions, Pipeline
from tests.server.test_hostile import ALL

DAYS = DailyPartitions("2025-01-01", "2025-01-31")


class Plausible(Config):
    """What a day may look like."""

    most: float = Field(0.5, ge=0, le=1, description="of all rows")
    mode: Literal["fast", "exact"] = "fast"
    strict: bool | None = None
    label: str = "5"
    password: SecretStr = SecretStr("wall")
    names: tuple[str, ...] = ()


class Required(Config):
    currency: str


def shop() -> Pipeline:
    pipeline = Pipeline("shop")

    @pipeline.asset(partitions=DAYS)
    async def raw(plausible: Plausible) -> float:
        return plausible.most

    @pipeline.asset(partitions=DAYS)
    async def visits(raw: float, required: Required) -> str:
        return f"{raw} {required.currency}"

    @pipeline.asset
    async def plain() -> int:
        return 1

    return pipeline


def field(page: str, key: str) -> str:
    """The element of a field; empty where there is none."""
    found = re.search(rf'<(input|select)[^>]*name="{re.escape(key)}".*?>(.*?</select>)?', page)
    return found[0] if found else ""


WHAT = "asset=visits&partitions=2025-01-01&upstream=yes"


async def test_each_asset_that_takes_a_config_has_its_fields(visit):
    """What is asked for first; what cannot be typed has none; defaults are shown as they would be typed."""
    async with visit(shop()) as visitor:
        page = (await visitor.get(f"/launch?{WHAT}")).text
        assert page.index("config.visits.currency") < page.index("config.raw.most")
        assert 'placeholder="0.5"' in field(page, "config.raw.most")
        assert 'placeholder="&#34;5&#34;"' in field(page, "config.raw.label")
        assert 'placeholder="required"' in field(page, "config.visits.currency")
        assert "<option >exact</option>" in field(page, "config.raw.mode")
        assert "<option >true</option>" in field(page, "config.raw.strict")
        assert "wall" not in page
        assert not field(page, "config.raw.password")
        assert "What a day may look like." in page
        assert "of all rows" in page
        alone = (await visitor.get("/launch?asset=visits&upstream=no")).text
        assert field(alone, "config.visits.currency")
        assert not field(alone, "config.raw.most")
        assert 'name="config.' not in (await visitor.get("/launch?asset=plain")).text


async def test_what_does_not_fit_is_said_before_anything_runs(visit):
    """And the field is marked."""
    async with visit(shop()) as visitor:
        page = (await visitor.get(f"/launch?{WHAT}")).text
        assert "currency is required" in page
        page = (await visitor.get(f"/launch?{WHAT}&config.visits.currency=NOK&config.raw.most=7")).text
        assert "less than or equal to 1" in page
        assert 'aria-invalid="true"' in field(page, "config.raw.most")
        assert 'aria-invalid="true"' not in field(page, "config.visits.currency")
        assert 'name="seen"' not in page
        assert await visitor.runtime.runs() == []


async def test_what_was_typed_goes_with_the_run(visit):
    """What is empty has its default, and what another asset would take is left out."""
    async with visit(shop()) as visitor:
        typed = {"config.visits.currency": "5", "config.raw.most": "0.75", "config.raw.mode": " "}
        fields = {"asset": "visits", "partitions": "2025-01-01", "upstream": "yes", "config.plain.x": "1"}
        page = (await visitor.get("/launch", params=fields | typed)).text
        assert "--config config" not in page
        assert "--config visits.currency=5" in page
        seen = re.search(r'name="seen" value="(\w+)"', page)[1]
        answer = await visitor.post("/launch", data=fields | typed | {"shown": "yes", "seen": seen})
        run = await visitor.runtime.run(answer.headers["location"].removeprefix("/runs/"))
        await run.wait()
        assert (await run.record()).request.config == {"visits": {"currency": "5"}, "raw": {"most": 0.75}}
        assert await visitor.runtime.load("visits", partition="2025-01-01") == "0.75 5"


async def test_it_comes_back_with_the_page(visit):
    """When the plan has changed meanwhile, nothing that was typed is lost."""
    async with visit(shop()) as visitor:
        fields = {"asset": "raw", "partitions": "2025-01-01", "config.raw.most": "0.75", "seen": "another"}
        answer = await visitor.post("/launch", data=fields)
        back = (await visitor.get(answer.headers["location"])).text
        assert 'value="0.75"' in field(back, "config.raw.most")
        assert "has changed since you saw it" in back


async def test_hostile_texts_are_texts(visit):
    """As everywhere."""
    async with visit(shop()) as visitor:
        page = (await visitor.get("/launch", params={"asset": "raw", "config.raw.most": ALL})).text
        assert "<script>alert" not in page
        page = (await visitor.get("/launch", params={"asset": "raw", f"config.raw.{ALL}": "1"})).text
        assert "<script>alert" not in page


async def test_a_class_that_no_schema_describes_is_typed_as_json(visit):
    """Its fields are there all the same."""

    class Range:
        def __init__(self, first: int) -> None:
            self.first = first

        @classmethod
        def __get_pydantic_core_schema__(cls, source, handler):
            from pydantic_core import core_schema

            return core_schema.no_info_plain_validator_function(
                lambda value: value if isinstance(value, Range) else cls(value),
                serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value.first),
            )

    class Odd(Config):
        extent: Range | None = None
        many: int = 3

    pipeline = Pipeline("odd")

    @pipeline.asset
    async def odd(config: Odd) -> int:
        return config.many

    async with visit(pipeline) as visitor:
        page = (await visitor.get("/launch?asset=odd")).text
        assert field(page, "config.odd.extent")
        assert field(page, "config.odd.many")
