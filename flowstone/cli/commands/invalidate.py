"""`flowstone invalidate ASSET`: make values no longer current, so that what needs them computes them again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowstone.cli.asker import asker
from flowstone.cli.asset_keys import defined_key, step_key
from flowstone.cli.finding import likely
from flowstone.cli.labels import step_label
from flowstone.cli.loop import run_async
from flowstone.cli.options import AskedBy, AssetName, Debug, Json, Partitions, PipelineOption, StoreUrl
from flowstone.cli.places import shown, written
from flowstone.cli.problem import FAILED, CommandError
from flowstone.cli.screen import Screen
from flowstone.cli.server import ServerUrl, asked
from flowstone.counting import are, count
from flowstone.runs.audit import Act
from flowstone.store.invalidation import invalidate as make_invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.runs.records import StepKey
    from flowstone.store import Store

__all__ = ["invalidate"]


def invalidate(
    asset: AssetName,
    *,
    partition: Partitions = None,
    downstream: Annotated[
        bool,
        typer.Option(
            "--downstream", help="Everything that was computed from them as well.", show_default=False
        ),
    ] = False,
    pipeline: PipelineOption = None,
    by: AskedBy = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why, for people.", show_default=False)
    ] = "",
    store: StoreUrl,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make values no longer current, to have them computed again."""
    with Screen(json=json, debug=debug) as screen:
        act = Act(datetime.now(UTC), asker(by), reason)
        words = partition or ()
        keys, number = run_async(_invalidate(store, act, pipeline, asset, words, downstream=downstream))
        if screen.json:
            named = [key for _, key in keys] if partition else None
            screen.document({"asset": keys[0][0], "partition_keys": named, "invalidated": number})
            return
        also = ", with what was computed from them," if downstream else ""
        screen.show(
            f"{_label(keys, partition)}: {count(number, 'value')}{also} {are(number)} no longer current"
        )
        again = "it" if number == 1 else "them"
        screen.note(f"A run with --upstream computes {again} again, also with --refresh missing.")


async def _invalidate(
    url: str, act: Act, pipeline: str | None, asset: str, words: Sequence[str], *, downstream: bool
) -> tuple[Sequence[StepKey], int]:
    """What was named, and how many values were current. Raises `CommandError` if none was."""
    if isinstance(url, ServerUrl):
        return await _asked(url, act, asset, words, downstream=downstream)
    defined = [defined_key(pipeline, asset, word) for word in words or (None,)]
    async with written(url) as store:
        keys = [
            key or await step_key(store, asset, word)
            for key, word in zip(defined, words or (None,), strict=True)
        ]
        if not words:
            keys = [(asset, key) for key in await store.current_keys(asset)] or keys
        number = await make_invalid(store, keys, act, downstream=downstream)
        if not number:
            raise await _nothing(store, url, keys[0], words)
        return keys, number


async def _asked(
    url: ServerUrl, act: Act, asset: str, words: Sequence[str], *, downstream: bool
) -> tuple[Sequence[StepKey], int]:
    """The same of a server."""
    about: dict[str, Any] = {"downstream": downstream, "by": act.by, "reason": act.reason}
    named: Sequence[str | None] = words or (None,)
    async with asked(url) as client:
        keys = [(asset, None if word is None else await client.partition_key(asset, word)) for word in named]
        number = sum([await client.invalidate(asset, partition=word, **about) for word in named])
    if not number:
        raise CommandError(
            f"{step_label(*keys[0])} has no current value in {shown(url)}.",
            f"`flowstone status {asset}` shows what there is.",
            status=FAILED,
        )
    return keys, number


async def _nothing(store: Store, url: str, key: StepKey, words: Sequence[str]) -> CommandError:
    hint = await likely(store, key[0], words[0] if len(words) == 1 else None)
    return CommandError(
        f"{step_label(*key)} has no current value in {shown(url)}.",
        hint.strip() or f"`flowstone status {key[0]}` shows what there is.",
        status=FAILED,
    )


def _label(keys: Sequence[StepKey], words: Sequence[str] | None) -> str:
    if len(keys) == 1:
        return step_label(*keys[0])
    return f"{keys[0][0]} ({count(len(keys), 'partition')})" if words else keys[0][0]
