"""`flowstone partitions list | add | remove SET`: the keys of a dynamic partition set."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from flowstone.assets.dynamic_partitions import DynamicPartitions
from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.partition_labels import partition_argument
from flowstone.assets.snapshot import Snapshot
from flowstone.assets.suggest import did_you_mean
from flowstone.cli.asker import asker
from flowstone.cli.labels import key_label
from flowstone.cli.loading import load
from flowstone.cli.loop import run_async
from flowstone.cli.options import AskedBy, Debug, Json, StoreUrl
from flowstone.cli.places import history, shown, written
from flowstone.cli.problem import CommandError
from flowstone.cli.screen import Screen
from flowstone.cli.server import ServerUrl, asked
from flowstone.counting import count
from flowstone.printable import one_line
from flowstone.runs.audit import Act

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.store import Store

__all__ = ["partitions"]


def partitions(
    action: Annotated[
        Literal["list", "add", "remove"],
        typer.Argument(metavar="list|add|remove", help="What to do with the keys.", show_default=False),
    ],
    name: Annotated[
        str, typer.Argument(metavar="SET", help="The name in DynamicPartitions(name).", show_default=False)
    ],
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY", help="The keys to add or remove.", show_default=False),
    ] = None,
    *,
    pipeline: Annotated[
        str | None,
        typer.Option(
            "--pipeline",
            metavar="MODULE:PIPELINE",
            help="A pipeline that uses the set: checks the name.",
            show_default=False,
        ),
    ] = None,
    by: AskedBy = None,
    store: StoreUrl,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List, add or remove the keys of a dynamic partition set."""
    with Screen(json=json, debug=debug) as screen:
        DynamicPartitions(name)  # Refuses what is not a str.
        if pipeline is not None:
            _check(pipeline, name)
        if (action == "list") == bool(keys):
            raise CommandError(
                "`partitions list` takes no keys." if keys else f"Name the keys to {action}.",
                f"Write `flowstone partitions {action} {one_line(name)}{'' if action == 'list' else ' KEY ...'}`.",
            )
        if keys:
            run_async(_change(screen, store, Act(datetime.now(UTC), asker(by)), name, action, keys))
        else:
            run_async(_list(screen, store, name))


def _check(pipeline: str, name: str) -> None:
    known = Snapshot.of((load(pipeline).pipeline,)).dynamic
    if name not in known:
        hint = did_you_mean(name, known) or (
            f"It uses {', '.join(known)}." if known else "It uses no dynamic partition set."
        )
        raise CommandError(f"{pipeline} uses no partition set {name!r}.", hint.strip())


async def _list(screen: Screen, url: str, name: str) -> None:
    async with history(url) as store:
        found = await store.partitions(name)
    if screen.json:
        screen.document(
            {
                "set": name,
                "partitions": [{"partition": key_label(key), "partition_key": key} for key in found],
            }
        )
    elif found:
        screen.show(*map(key_label, found))
    else:
        label = one_line(name)
        screen.note(
            f"{label} has no keys in {shown(url)}: `flowstone partitions add {label} KEY ...` adds some."
        )


async def _change(screen: Screen, url: str, act: Act, name: str, action: str, words: Sequence[str]) -> None:
    if isinstance(url, ServerUrl):
        _tell(screen, name, action, await _asked(url, act, name, action, words))
        return
    async with written(url) as store:
        if action == "add":
            texts = [encode_partition(partition_argument(word)) for word in words]
            done = await store.add_partitions(name, texts, act)
        else:
            texts = await _known(store, name, words)
            done = await store.remove_partitions(name, texts, act)
        left = len(await store.partitions(name))
    _tell(screen, name, action, (texts, done, left))


async def _asked(
    url: ServerUrl, act: Act, name: str, action: str, words: Sequence[str]
) -> tuple[Sequence[str], int, int]:
    """The same of a server: the keys, how many changed, and how many there are now."""
    async with asked(url) as client:
        change = client.add_partitions if action == "add" else client.remove_partitions
        done = await change(name, list(words), by=act.by)
        return words, done, len(await client.partitions(name))


def _tell(screen: Screen, name: str, action: str, changed: tuple[Sequence[str], int, int]) -> None:
    texts, done, left = changed
    did = {"add": "added", "remove": "removed"}[action]
    if screen.json:
        screen.document({"set": name, did: done, "total": left})
        return
    same = len(dict.fromkeys(texts)) - done
    before = {"add": "there before", "remove": "not there"}[action]
    others = f", {same:,} {'was' if same == 1 else 'were'} {before}" if same else ""
    screen.show(f"{one_line(name)}: {count(done, 'key')} {did}{others}; it has {left:,}")


async def _known(store: Store, name: str, words: Sequence[str]) -> list[str]:
    """The keys that words stand for: as `list` shows them, or exactly."""
    known = await store.partitions(name)
    labels: dict[str, Any] = {key_label(key): key for key in known}
    labels.update((key, key) for key in known)
    return [labels.get(word) or encode_partition(partition_argument(word)) for word in words]
