"""A process that holds a `file://` store dies at any instant between asking, deciding and waking.

A journal only grows, so what a killed process leaves is how it began, perhaps with half a line. One life is lived
to its end, with notes of what was acknowledged at which length of the journal; then each beginning of it is taken
up by another life.
"""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress

from flowstone import AlreadyDecided, Context, FileIO, Pipeline, Runtime, TokenExpired, TokenUsed
from tests.waiting.test_decisions import parked


class Life:
    """A pipeline whose asset does and waits for all there is; what it did, and when that was acknowledged.

    Attributes:
        facts: What must be so from this length of the journal on.
        calls: What was called of what is done once.
        tokens: Those that were handed out.
    """

    def __init__(self, folder):
        self.folder = folder
        self.journal = folder / "store" / "journal.jsonl"
        self.facts = {}
        self.calls = []
        self.tokens = []
        self.pipeline = pipeline = Pipeline("desk")

        @pipeline.asset
        async def rows() -> int:
            return 3

        @pipeline.asset
        async def published(rows: int, context: Context) -> list:
            made = await context.once("draft", self.calls.append, "draft")
            self.note("draft")
            decision = context.approval("publish")
            await context.once("ask", self.ask, context.signal_token("bank"))
            self.note("ask")
            paid = context.signal("bank")
            context.sleep("nap", 0.001)
            return [made, decision.by, paid]

        @pipeline.asset
        def sent(published: list, rows: int) -> list:
            return [*published[1:], rows]

    def ask(self, token):
        self.note("token")  # It is on record before it is handed out.
        self.calls.append("ask")
        self.tokens.append(token)

    def note(self, fact):
        self.facts.setdefault(fact, self.journal.stat().st_size)

    def runtime(self):
        values = FileIO(self.folder / "values")
        return Runtime(
            self.pipeline, store=f"file://{self.folder}/store", io={"default": values}, worker=True
        )

    def until(self, size, folder):
        """Another life, in a folder that is as this one was when its journal was so long."""
        begun = self.journal.read_bytes()[:size]
        folder.joinpath("store").mkdir(parents=True)
        folder.joinpath("store", "journal.jsonl").write_bytes(begun)
        for path in (self.folder / "values").rglob("*"):
            name = path.relative_to(self.folder / "values")
            if path.is_file() and str(name).encode() in begun:
                folder.joinpath("values", name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, folder / "values" / name)
        return Life(folder)

    def known(self, size):
        """What was acknowledged by then."""
        return {fact for fact, at in self.facts.items() if at <= size}


async def lived(life):
    """One life, from the submission to the end."""
    async with life.runtime() as runtime:
        run = await runtime.submit("sent")
        life.note("submitted")
        await parked(runtime)
        (asked,) = await runtime.approvals()
        await runtime.approve(asked.id, by="ada")
        life.note("approved")
        while not life.tokens or not await runtime.runs(status="waiting"):
            await asyncio.sleep(0.001)
        await runtime.signal(life.tokens[0], "paid")
        life.note("signalled")
        assert await (await run.wait()).value() == ["ada", "paid", 3]
        life.note("ended")
    assert life.calls == ["draft", "ask"]


async def taken_up(life, known, tokens):
    """Another life goes on; what was acknowledged in the one before stands."""
    async with life.runtime() as runtime:
        found = await runtime.runs()
        assert found or "submitted" not in known
        if not found:
            return
        run = await runtime.run(found[0].id)
        while not (await run.status()).terminal:
            for asked in await runtime.approvals():
                assert "approved" not in known
                with suppress(AlreadyDecided):
                    await runtime.approve(asked.id, by="bob")
            for token in (*tokens, *life.tokens):
                with suppress(TokenUsed, TokenExpired):
                    await runtime.signal(token, "late")
            await asyncio.sleep(0.001)
        by, paid, rows = await (await run.wait()).value()
        assert by == "ada" or "approved" not in known
        assert paid == "paid" or "signalled" not in known
        assert rows == 3
        assert len(await runtime.approvals(status="approved")) == 1
        for asset in ("rows", "published", "sent"):
            (made,) = await runtime.history(asset)
            assert made.status == "succeeded"
    assert ("draft" not in life.calls) or "draft" not in known
    assert ("ask" not in life.calls) or "ask" not in known
    assert not life.calls or "ended" not in known


async def test_a_life_that_ends_anywhere_is_taken_up(tmp_path):
    """Nothing is lost, nothing decided twice, and nothing that was done once is done again."""
    life = Life(tmp_path / "first")
    async with asyncio.timeout(200):
        await lived(life)
        lines = life.journal.read_bytes().splitlines(keepends=True)
        assert len(lines) > 10
        size = 0
        for number, line in enumerate(lines):
            for cut in (size, size + len(line) // 2):
                known = life.known(cut)
                tokens = life.tokens if "token" in known else []
                await taken_up(life.until(cut, tmp_path / f"{number}-{cut}"), known, tokens)
            size += len(line)
        await taken_up(life.until(size, tmp_path / "whole"), life.known(size), life.tokens)
    assert set(life.facts) == {"submitted", "draft", "approved", "token", "ask", "signalled", "ended"}
