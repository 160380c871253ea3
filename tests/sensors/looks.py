"""One look of a sensor at a time, without a runtime."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from flowstone import Config, DynamicPartitions, Pipeline, Skip, StaticPartitions
from flowstone.assets.automation.sensor import SensorContext

NOW = datetime(2025, 1, 1, tzinfo=UTC)


class Where(Config):
    """Says which file."""

    path: str = ""


def shop():
    """Assets that can be told of a file in every way."""
    pipeline = Pipeline("shop")

    @pipeline.asset(partitions=DynamicPartitions("files"))
    async def raw() -> int:
        return 1

    @pipeline.asset(partitions=StaticPartitions(["no", "se"]))
    async def sales() -> int:
        return 1

    @pipeline.asset
    async def plain() -> int:
        return 1

    @pipeline.asset
    async def told(where: Where) -> str:
        return where.path

    return pipeline


class Looking:
    """Looks as the runtime does: what it was left at is JSON, and a look that fails leaves it as it was.

    Attributes:
        cursor: Where the last look has left off.
        added: Keys that were added to dynamic sets.
        skipped: Why the last look was skipped.
        refused: What no run could be made of in the last look, and why.
    """

    def __init__(self, sensor):
        self.sensor = sensor
        self.cursor = None
        self.added = {}
        self.skipped = ""
        self.refused = []
        self._assets = shop().graph.assets

    def context(self, since=None):
        """What a look is given."""
        return SensorContext("it", self.cursor, NOW, None, self._assets, since)

    def look(self, since=10.0):
        """What a look asks for."""
        context = self.context(since)
        self.skipped, given = "", []
        try:
            given = list(self.sensor(context))
        except Skip as error:
            self.skipped = str(error)
        self.cursor = json.loads(json.dumps(context.left_at()))
        self.added = dict(context.added())
        self.refused = list(context.refused())
        return given

    def paths(self, since=10.0):
        """The paths of what a look asks for."""
        return [request.tags["object"] for request in self.look(since)]
