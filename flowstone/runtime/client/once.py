"""Runs that are asked for once: whoever asks again in the same words is given the run that there is.

A key names the run: its id is made of the key and of what was asked for. So no store needs to remember keys beside
runs, and a key is known for as long as its run is.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from flowstone.assets.arguments import LONGEST_NAME, is_run_key
from flowstone.errors import ArgumentError
from flowstone.remedies import Remedies
from flowstone.store.protocol import StaleWrite

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from flowstone.runs.records import RunSpec
    from flowstone.store.protocol import Store

__all__ = ["Once", "checked_once", "words_of"]

_KEY: Final = 20  # Hexadecimal digits of an id, which has as many as any other.
_WORDS: Final = 8


def words_of(request: RunSpec, priority: int, ends: tuple[object, object] | None) -> str:
    """What was asked for, whenever it was.

    Args:
        request: The request.
        priority: The priority of the run.
        ends: Of a range the first and last partition as they were given; None: it is none.
    """
    from flowstone.store.codec import encode_request  # noqa: PLC0415 - few runtimes in memory need it

    # Where a range ends that was given no end depends on the hour.
    said = request if ends is None else replace(request, keys=(), span=None)
    shown = None if ends is None else [None if end is None else str(end) for end in ends]
    return json.dumps([encode_request(replace(said, as_of=None, by=None)), priority, shown], sort_keys=True)


def checked_once(once: str | None, key: str | None, *, join: bool) -> str | None:
    """The key by which something is asked for once, as the caller wrote it.

    Raises:
        ArgumentError: It is none, or goes with what may give the caller another run.
    """
    given: object = once
    if given is None:
        return None
    if not is_run_key(given):
        known = f"text of 1 to {LONGEST_NAME} characters, without NUL or lone surrogates"
        raise ArgumentError(f"{given!r:.50} cannot be such a key.", remedies=Remedies.takes("once", known))
    if key is not None or join:
        raise ArgumentError(
            "What is asked for once is a run of its own, and with `key` or `join` it may be another one.",
            remedies=Remedies("Leave key= and join= out.", http="Leave them out, or `Idempotency-Key`."),
        )
    return once


class Once:
    """The calls of one runtime that ask once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._turn = (
            asyncio.Lock()
        )  # Of two who ask at once in this process the second finds the run of the first.

    async def run(
        self, key: str, words: str, start: Callable[[str], Awaitable[tuple[str, bool]]]
    ) -> tuple[str, bool]:
        """The id of the run that was asked for by this key, and whether it is new.

        Args:
            key: The key.
            words: What is asked for.
            start: Starts the run of an id; says its id, and whether it is new.

        Raises:
            ArgumentError: Something else was asked for by this key.
        """
        name, wanted = _digest(key, _KEY), _digest(words, _WORDS)
        async with self._turn:
            found = [run.id for run in await self._store.runs_beginning(name)]
            if found and f"{name}{wanted}" not in found:
                raise ArgumentError(
                    f"Another run was asked for by this key: {found[0]}.",
                    remedies=Remedies(
                        "Give each request a key of its own (once=).",
                        http="Give each request a key of its own (`Idempotency-Key`).",
                    ),
                )
            if not found:
                with suppress(StaleWrite):  # Another node was faster.
                    return await start(f"{name}{wanted}")
        return f"{name}{wanted}", False


def _digest(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:digits]
