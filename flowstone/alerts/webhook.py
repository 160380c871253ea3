"""`WebhookAlert`: a listener that posts events to a URL, signed, until somebody has taken them.

Whether it is sent again, and when, is the listeners' part (`runtime/automation/listeners.py`). This says of each
answer what it means: taken, never to be taken, or not now.
"""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

from flowstone.alerts.address import checked_url, is_local, shown_url
from flowstone.alerts.headers import checked_headers
from flowstone.alerts.payload import payload_of
from flowstone.alerts.signature import ID, SIGNATURE, TIMESTAMP, key_of, sign
from flowstone.assets.arguments import is_number
from flowstone.assets.automation.event_kinds import exact_kinds
from flowstone.assets.automation.listener import define_listener
from flowstone.assets.automation.schedule import checked_flag
from flowstone.errors import DefinitionError, Permanent, Retryable

if TYPE_CHECKING:
    from flowstone.assets.asset import SourceLine
    from flowstone.assets.automation.listener import Listener
    from flowstone.runs.automation_events import Event

__all__ = ["WebhookAlert"]

_KINDS: Final = ("run.failed", "asset.overdue", "automation.failed", "automation.paused")
_LONGEST_TIMEOUT: Final = 300.0
_MOST_REDIRECTS: Final = 3
_NOT_NOW: Final = frozenset({408, 425, 429})
_LONGEST_WAIT: Final = 3_600.0  # Seconds that a server may ask for.
_OURS: Final = frozenset({ID, TIMESTAMP, SIGNATURE, "content-type", "content-length", "host"})


class WebhookAlert:
    """Posts events to a URL as JSON, at least once each: `pipeline.add(WebhookAlert("https://…", kinds=…))`.

    An answer of 2xx means that it was taken. After 5xx, 408, 425, 429, or none, it is sent again later, or when
    `Retry-After` says so. Any other answer means that it never will be: it is given up, and that is an event
    (`automation.failed`). With a `secret` each request is signed; see `flowstone.alerts.verify_signature`. The
    header `webhook-id` is the same whenever the same event is sent again. Except to this machine, requests go
    through the proxy that `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say; `.netrc` is not read.

    Args:
        url: Where to. It has to be https, except on this machine. It is shown without its path.
        kinds: The kinds of events, as for `Pipeline.on`, one or several; default: `run.failed`, `asset.overdue`,
            `automation.failed` and `automation.paused`.
        secret: What requests are signed with, or `whsec_` and base64 of it; default: they are not signed.
        headers: Headers of each request, such as `Authorization`: printable ASCII; they are never shown.
        name: Its name among the automations; default: `webhook ` and the URL's host.
        asset: Only events of this asset.
        timeout: Seconds that one request may take.
        insecure: Whether http is good enough beyond this machine.
        transport: An `httpx2.AsyncBaseTransport` for tests; default: the network.

    Raises:
        DefinitionError: One of these cannot work, or `httpx2` is not installed.
    """

    def __init__(
        self,
        url: str,
        kinds: str | Iterable[str] = _KINDS,
        *,
        secret: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        name: str | None = None,
        asset: Any = None,
        timeout: float = 10.0,
        insecure: bool = False,
        transport: Any = None,
    ) -> None:
        self._url = checked_url(url, insecure=checked_flag("WebhookAlert(…)", "insecure", insecure))
        self.kinds = _checked_kinds(kinds)
        self._secret = _checked_secret(secret)
        self._headers = checked_headers(headers, _OURS)
        self.name = f"webhook {urlsplit(url).hostname}" if name is None else name
        self._asset = asset
        if not is_number(timeout, at_least=0.01, at_most=_LONGEST_TIMEOUT):
            raise DefinitionError(
                f"{self}: timeout={timeout!r:.50} takes seconds, up to {_LONGEST_TIMEOUT:g}."
            )
        self._timeout = float(timeout)
        if transport is not None and not hasattr(transport, "handle_async_request"):
            raise DefinitionError(f"{self}: transport={transport!r:.100} takes an httpx2.AsyncBaseTransport.")
        self._transport = transport
        self._certificates: Any = None
        try:
            exact_kinds(self.kinds, recorded=True)
        except ValueError as error:
            raise DefinitionError(f"{self}: {error}") from None
        if importlib.util.find_spec("httpx2") is None:
            raise DefinitionError(f"{self} needs httpx2: install `flowstone[http]`.")

    def __repr__(self) -> str:
        return f"WebhookAlert({shown_url(self._url)!r}, kinds={self.kinds!r})"

    def listener(self, source: SourceLine) -> Listener:
        """Itself as a listener that is defined at this line. Raises `DefinitionError`."""
        # What ends a call is the request's own timeout, which says more.
        return define_listener(
            self.name, self.post, self.kinds, self._asset, self._timeout * (_MOST_REDIRECTS + 1) + 5.0, source
        )

    async def post(self, event: Event) -> None:
        """Send one event.

        Raises:
            Permanent: It will never be taken.
            Retryable: It may be later.
        """
        import httpx2  # noqa: PLC0415 - an extra

        payload = payload_of(event)
        body = json.dumps(payload, ensure_ascii=False).encode("utf-8", "backslashreplace")
        try:
            async with self._client() as client:
                status, after = await self._send(client, body, payload["id"])
        except httpx2.TimeoutException:
            raise self._not_now(f"did not answer within {self._timeout:g} s") from None
        except httpx2.TransportError as error:
            # Its text may quote what was to be sent, secrets with it.
            raise self._not_now(f"could not be reached ({type(error).__name__})") from None
        if 200 <= status < 300:
            return
        if status in _NOT_NOW or status >= 500:
            raise self._not_now(f"answered with status {status}", after)
        raise Permanent(f"{shown_url(self._url)} answered with status {status}, so this is not sent again.")

    def _not_now(self, what: str, after: float | None = None) -> Retryable:
        return Retryable(f"{shown_url(self._url)} {what}.", after=after)

    def _client(self) -> Any:
        import httpx2  # noqa: PLC0415 - an extra

        if self._transport is not None:
            return httpx2.AsyncClient(transport=self._transport, timeout=self._timeout)
        if self._certificates is None:
            self._certificates = httpx2.create_ssl_context()  # Takes far longer than a request.
        # What this machine is told in clear is no business of a proxy.
        proxies = not is_local(urlsplit(self._url).hostname or "")
        return httpx2.AsyncClient(verify=self._certificates, timeout=self._timeout, trust_env=proxies)

    async def _send(self, client: Any, body: bytes, id: str) -> tuple[int, float | None]:  # noqa: A002 - the standard's word
        """The status of the answer, and seconds to wait if it says so. Follows redirects on the same host only."""
        url = self._url
        for _ in range(_MOST_REDIRECTS + 1):
            request = client.stream("POST", url, content=body, headers=self._all_headers(body, id))
            async with request as response:
                if response.status_code not in {307, 308}:
                    return response.status_code, _retry_after(response.headers)
                url = self._next(url, response.headers.get("location", ""))
        raise Permanent(f"{shown_url(self._url)} redirects in a circle.")

    def _next(self, url: str, location: str) -> str:
        new = urljoin(url, location)
        if urlsplit(new)[:2] != urlsplit(url)[:2]:
            raise Permanent(
                f"{shown_url(self._url)} redirects to {shown_url(new)}, which may be somebody else's: "
                "give that URL if it is not."
            )
        return new

    def _all_headers(self, body: bytes, id: str) -> dict[str, str]:  # noqa: A002 - as above
        timestamp = int(time.time())
        headers = {**self._headers, "content-type": "application/json", ID: id, TIMESTAMP: str(timestamp)}
        if self._secret is not None:
            headers[SIGNATURE] = sign(self._secret, id, timestamp, body)
        return headers


def _checked_kinds(kinds: Any) -> tuple[Any, ...]:
    if isinstance(kinds, str):
        return (kinds,)
    if isinstance(kinds, bytes | Mapping) or not isinstance(kinds, Iterable):
        raise DefinitionError(
            f"WebhookAlert(kinds={kinds!r:.100}) takes kinds of events, such as ('run.failed', 'asset.overdue')."
        )
    return tuple(kinds)


def _checked_secret(secret: Any) -> str | bytes | None:
    secret = secret.get_secret_value() if hasattr(secret, "get_secret_value") else secret
    if secret is None:
        return None
    if not isinstance(secret, str | bytes):
        raise DefinitionError("WebhookAlert(secret=…) takes a str or bytes.")
    try:
        key_of(secret)
    except ValueError as error:
        raise DefinitionError(f"WebhookAlert(secret=…): {error}.") from None
    return secret


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, given as such or as an instant; None if it is neither, or now, which would use up attempts."""
    value = headers.get("retry-after", "").strip()
    if value.isdecimal():
        return min(float(value), _LONGEST_WAIT) or None
    try:
        seconds = parsedate_to_datetime(value).timestamp() - time.time()
    except (TypeError, ValueError):
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT) or None
