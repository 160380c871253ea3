"""What tests of listeners share: a pipeline with one asset, and an ear."""

from __future__ import annotations

import asyncio

from flowstone import Pipeline


class Ear:
    """Keeps what it was told, and can be waited for."""

    def __init__(self):
        self.heard = []
        self._changed = asyncio.Event()

    def __call__(self, event):
        self.heard.append(event)
        self._changed.set()

    async def hear(self, event):
        """Be the listener."""
        self(event)

    @property
    def kinds(self):
        return [event.kind for event in self.heard]

    async def has(self, count):
        """Return when it was told so often."""
        while len(self.heard) < count:
            self._changed.clear()
            await self._changed.wait()
        return self.heard


def reports(failing=False):
    """A pipeline with one asset."""
    pipeline = Pipeline("sales")

    @pipeline.asset
    async def report() -> int:
        if failing:
            raise ValueError("no data")
        return 1

    return pipeline
