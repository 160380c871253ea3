"""A shop's catalogue, scraped politely: `uv run python examples/scrape.py`.

The shop, in this process, throttles, fails now and then, and has products that are gone and one that is broken.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Annotated, Any, ClassVar

from flowstone import Context, Each, Pipeline, Resource, Retry, Retryable, Runtime, Skip

pipeline = Pipeline("scrape")
pipeline.rate("shop", limit=100, per=1.0)
PERSISTENT = Retry(attempts=5, delay=0.05)


def fetch(shop: str, path: str) -> Any:
    """What the shop answers; or why there is nothing, in the words of an asset."""
    with closing(HTTPConnection(shop, timeout=10)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = json.load(answer)
    if answer.status == 404:
        raise Skip(f"{path} is gone")
    if answer.status == 429:
        raise Retryable("too many requests", after=float(answer.headers["Retry-After"]))
    if answer.status != 200:
        raise ConnectionError(f"{path} answers {answer.status}")
    return body


@pipeline.asset(retry=PERSISTENT)
def links(context: Context, shop: Annotated[str, Resource]) -> Iterator[str]:
    """Page through the catalogue; the cursor is the page to go on with."""
    page = context.cursor or 0
    while found := fetch(shop, f"/catalogue/{page}"):
        yield from found
        page += 1
        context.checkpoint(page)


@pipeline.asset(each=Each("links", max_parallel=8, tolerate=0.05, key=str, retry=PERSISTENT), rate="shop")
def product(links: str, shop: Annotated[str, Resource]) -> dict[str, str]:
    """One product: retried, skipped or given up on its own, and at most 100 of them begun in a second."""
    return dict(fetch(shop, links))


@pipeline.asset
def summary(product: Iterator[dict[str, str]]) -> dict[str, int]:
    """How many products there are of each kind; they are read one after the other."""
    return dict(Counter(each["kind"] for each in product))


class Shop(BaseHTTPRequestHandler):
    """The other side: 120 products, 20 on a page, and not more than 150 requests a second."""

    asked: ClassVar[Counter[str]] = Counter()
    recent: ClassVar[deque[float]] = deque(maxlen=150)

    def do_GET(self) -> None:
        """Answer, as far as one feels like it."""
        now, (kind, number) = time.monotonic(), self.path.split("/")[1:]
        self.asked[self.path] += 1
        self.recent.append(now)
        if len(self.recent) == 150 and now - self.recent[0] < 1.0:
            self.answer(429)
        elif kind == "catalogue":
            self.answer(200, [f"/product/{i}" for i in range(120)[20 * int(number) :][:20]])
        elif number in {"40", "41"}:
            self.answer(404)
        elif number == "13" or (int(number) % 7 == 0 and self.asked[self.path] == 1):
            self.answer(500)
        else:
            self.answer(200, {"name": f"No. {number}", "kind": ("tool", "toy", "book")[int(number) % 3]})

    def answer(self, status: int, body: Any = None) -> None:
        """Send JSON."""
        self.send_response(status)
        self.send_header("Retry-After", "0.2")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def shop() -> Iterator[str]:
    """The shop is open, at this address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Shop) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


resources = {"shop": shop}


async def main() -> None:
    """Scrape it, and tell what became of the products that are not in the summary."""
    async with Runtime(pipeline, resources=resources) as runtime:
        result = await runtime.materialize_all(summary)
        print(await result.value())
        for status in ("skipped", "failed"):
            for item in await runtime.items(result.run_id, product, status=status):
                print(item.key, status, "in attempt", item.attempt)


if __name__ == "__main__":
    asyncio.run(main())
