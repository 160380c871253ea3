r"""A shop's night: files that land, a report at six, and a webhook that is told when something is wrong.

    mkdir -p landing
    uv run python examples/nightly.py               # one terminal: what a webhook would be told
    uv run flowstone serve examples/nightly.py      # another one: the node that does all of it

Then, in a third one, let yesterday's file land. It is read within ten seconds; the report is made at six, or now:

    printf 'tea,4.50\ncoffee,3.00\n' > landing/$(date -u -d yesterday +%F).csv
    uv run flowstone fire examples/nightly.py nightly
    uv run flowstone automations
    uv run flowstone runs

Without the file the report is tried three times and fails, and the webhook is told so; it is told as well when
there was no report for two days.
"""

from __future__ import annotations

import csv
import os
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from flowstone import Context, DailyPartitions, FileSensor, Freshness, Pipeline, Retry, WebhookAlert

LANDING = Path("landing")
WEBHOOK = os.environ.get("SHOP_WEBHOOK", "http://127.0.0.1:8765/alerts")

pipeline = Pipeline("shop")
days = DailyPartitions("2025-01-01")


@pipeline.asset(partitions=days, retry=Retry(attempts=3, delay=60.0, on=OSError))
def sales(context: Context) -> dict[str, float]:
    """A day's sales, as the till has left them in the landing folder."""
    with (LANDING / f"{context.partition}.csv").open(newline="") as file:
        return {tea: float(price) for tea, price in csv.reader(file)}


@pipeline.asset(partitions=days, freshness=Freshness(within=timedelta(hours=26)))
def report(sales: dict[str, float]) -> str:
    """What the shop wants to read with its first coffee."""
    return f"{len(sales)} kinds sold, {sum(sales.values()):.2f} in all"


pipeline.add(
    FileSensor(str(LANDING / "*.csv"), asset="sales", partition=lambda file: file.name[:-4], every=5.0)
)
pipeline.schedule("nightly", cron="0 6 * * *", asset="report", partition="latest")
pipeline.add(WebhookAlert(WEBHOOK, kinds=("run.failed", "asset.overdue", "automation.failed")))


class Webhook(BaseHTTPRequestHandler):
    """Stands for a chat: prints what it is told."""

    def do_POST(self) -> None:
        """Take it."""
        body = self.rfile.read(int(self.headers["content-length"]))
        print(body.decode(), flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing else."""


if __name__ == "__main__":
    with HTTPServer(("127.0.0.1", 8765), Webhook) as server:
        print("listens on", WEBHOOK, flush=True)
        server.serve_forever()
