"""An answer that goes on leaves nothing behind when its connection ends."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from starlette.requests import ClientDisconnect

from flowstone.server.api.streams import Stream


class Messages:
    """Endless messages, which know whether they were closed."""

    def __init__(self) -> None:
        self.closed = False
        self.made = self._make()

    async def _make(self):
        try:
            while True:
                yield b"data: 1\n\n"
                await asyncio.sleep(0)
        finally:
            self.closed = True


@pytest.mark.parametrize("version", ["2.3", "2.4"])
@pytest.mark.parametrize("sent_before", [0, 1, 5])
@pytest.mark.parametrize("with_first", [False, True])
async def test_what_makes_it_is_closed_with_the_connection(version, sent_before, with_first):
    """Also where that ends while a message is sent: a reader would stay subscribed until garbage is collected."""
    messages, gone, sent = Messages(), asyncio.Event(), 0

    async def send(message):
        nonlocal sent
        sent += 1
        if sent > sent_before:
            gone.set()
            if version == "2.4":
                raise OSError
            await asyncio.get_running_loop().create_future()

    async def receive():
        await gone.wait()
        return {"type": "http.disconnect"}

    first = await anext(
        messages.made
    )  # As a page does, to find out before it answers whether there is anything.
    answer = Stream(messages.made, first if with_first else None, media_type="text/event-stream")
    scope = {"type": "http", "asgi": {"spec_version": version}}
    with suppress(ClientDisconnect):
        await answer(scope, receive, send)
    assert messages.closed
