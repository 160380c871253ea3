"""A real browser in front of a real server: pages are tested by clicking.

The browser is a Chromium that is installed on the machine, as Debian's package `chromium`. Where there is none,
these tests are skipped, unless `FLOWSTONE_TEST_BROWSER=required` says that this is a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from flowstone import Pipeline, Runtime
from flowstone.server import ServerOptions, create_app

NAMES = ("chromium", "chromium-browser", "google-chrome")
STARTS_WITHIN = 60.0


def chromium_path() -> str:
    """The browser; skips the test where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        if os.environ.get("FLOWSTONE_TEST_BROWSER") == "required":
            pytest.fail("No Chromium is installed: `apt-get install chromium` brings one.")
        pytest.skip("no Chromium is installed (`apt-get install chromium`)")
    return found


@pytest.fixture(scope="session")
def chromium():
    """One browser for all tests of a process: the address at which it is driven."""
    path = chromium_path()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = subprocess.Popen(
            [
                path,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--remote-debugging-port=0",
                f"--user-data-dir={folder}",
                "about:blank",
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield _address(process)
        finally:
            process.kill()
            process.communicate()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if "DevTools listening on " in line:
            return line.partition("DevTools listening on ")[2].strip()
    raise AssertionError("Chromium ended before it could be driven.")


class Site:
    """A server, and the pages that are open in front of it.

    Attributes:
        runtime: What it shows.
        app: What answers.
        url: Its address.
        problems: What browsers complained of: errors of scripts, of the content security policy, of requests.
    """

    def __init__(self, runtime: Runtime, app: Any, url: str, context: Any) -> None:
        self.runtime = runtime
        self.app = app
        self.url = url
        self.problems: list[str] = []
        self._context = context

    async def open(self, path: str, **viewport: int) -> Any:
        """A new page of the browser at this path, once its stream is connected."""
        page = await self._context.new_page()
        page.set_default_timeout(90_000)  # Of a hang: a machine may be as busy as it likes.
        if viewport:
            await page.set_viewport_size(viewport)
        page.on("pageerror", lambda error: self.problems.append(f"{path}: {error}"))
        page.on("console", lambda said: self._hear(path, said))
        await page.goto(f"{self.url}{path}", wait_until="load")
        return page

    def _hear(self, path: str, said: Any) -> None:
        if said.type == "error":
            self.problems.append(f"{path}: {said.text}")


class Server:
    """A server of an application on the loopback, which can be stopped, and started again at the same address.

    Args:
        app: The application.
    """

    def __init__(self, app: Any) -> None:
        self._app = app
        self._port = 0
        self._server: uvicorn.Server | None = None
        self._serves: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Its address, once it was started."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Answer from now on."""
        taken = socket.socket()
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", self._port))
        taken.listen()
        taken.setblocking(False)
        self._port = taken.getsockname()[1]
        config = uvicorn.Config(self._app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign] # they are pytest's
        self._serves = asyncio.create_task(self._server.serve(sockets=[taken]))

    async def stop(self) -> None:
        """Answer no more."""
        if self._server is not None and self._serves is not None:
            self._server.should_exit = True
            await self._serves
            self._server = None


@contextlib.asynccontextmanager
async def serving(
    runtime: Runtime, options: ServerOptions | None = None, app: Any = None
) -> AsyncIterator[str]:
    """A server on a port of the loopback: its address."""
    server = Server(app or create_app(runtime, options))
    await server.start()
    try:
        yield server.url
    finally:
        await server.stop()


@pytest.fixture
def site(chromium) -> Callable[..., contextlib.AbstractAsyncContextManager[Site]]:
    """A runtime of a pipeline with its server, and a browser that visits it; fails if the browser complains."""
    from playwright.async_api import async_playwright

    @contextlib.asynccontextmanager
    async def opened(
        pipeline: Pipeline, *, options: ServerOptions | None = None, colour: str = "light", **settings: Any
    ) -> AsyncIterator[Site]:
        async with (
            Runtime(pipeline, **settings) as runtime,
            serving(runtime, app=(app := create_app(runtime, options))) as url,
            async_playwright() as playwright,
        ):
            browser = await playwright.chromium.connect_over_cdp(chromium)
            context = await browser.new_context(
                color_scheme=colour, viewport={"width": 1440, "height": 900}, reduced_motion="reduce"
            )
            found = Site(runtime, app, url, context)
            try:
                yield found
            finally:
                await context.close()
                await browser.close()
            assert found.problems == []

    return opened


SHOTS = Path(__file__).parents[2] / "docs" / "images"
